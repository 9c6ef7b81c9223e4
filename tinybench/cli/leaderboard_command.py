"""The command `leaderboard`: the models of a store, ranked by the predictions of their runs."""

from __future__ import annotations

import click

from tinybench.cli.options import uri_option
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest

_FORMATS = ("table", "md", "csv", "json", "html", "latex")
_PHASES = ("last", "scratch", "transfer", "finetune", "all")


@click.command()
@click.option("--dataset", help="Only this data set, by its name or its short name.")
@click.option("--model", "models", multiple=True, help="Only this model; may be given several times.")
@click.option("--recipe", help="Only runs of this recipe.")
@click.option(
    "--phase", type=click.Choice(_PHASES), default="last", show_default=True, help="Which phase of each run is ranked."
)
@click.option(
    "--metric",
    type=click.Choice(["accuracy", "top5"]),
    default="accuracy",
    show_default=True,
    help="Metric of the test images to rank by.",
)
@click.option(
    "--delta",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.01,
    show_default=True,
    help="Difference below which two models are equivalent.",
)
@click.option("--columns", help="Columns, separated by commas.")
@click.option("--published", "with_published", is_flag=True, help="Write published metrics in brackets behind ours.")
@click.option("--format", "style", type=click.Choice(_FORMATS), default="table", show_default=True, help="Output.")
@uri_option
def leaderboard(
    dataset: str | None,
    models: tuple[str, ...],
    recipe: str | None,
    phase: str,
    metric: str,
    delta: float,
    columns: str | None,
    with_published: bool,
    style: str,
    uri: str | None,
) -> None:
    """Rank the models of finished runs on their test images.

    Runs that differ only in the seed are runs of one model. Of each pair it is concluded whether one is better,
    whether they are equivalent within --delta, or that it is unresolved.

    Example: tinybench leaderboard --dataset cifar10 --delta 0.005
    """
    with quiet_libraries.filter_startup_noise():
        from tinybench.commands import leaderboard as boards
    from tinybench.display import board_table
    from tinybench.leaderboard import table

    names = table.DEFAULT_COLUMNS if columns is None else tuple(name.strip() for name in columns.split(","))
    for name in names:
        if name not in table.COLUMNS:
            raise ConfigError(
                f"Invalid value for `--columns`: expected some of {', '.join(table.COLUMNS)}, got {name!r}."
                + suggest(name, table.COLUMNS)
            )
    ranked = boards.list_boards(
        uri, dataset=dataset, models=models, recipe=recipe, phase=phase, metric=metric, margin=delta
    )
    board_table.print_boards(ranked, names, style, with_published=with_published)
