"""The command `leaderboard`: the models of a store, ranked by the predictions of their runs."""

from __future__ import annotations

import click

from tinybench.cli.options import uri_option
from tinybench.core import quiet_libraries

_FORMATS = ("table", "md", "csv", "json", "html", "latex")
_METRICS = ("accuracy", "top5", "balanced_accuracy", "log_loss")
_PHASES = ("last", "scratch", "transfer", "finetune", "all")


@click.command()
@click.option("--dataset", help="Only this data set, by its name or its short name.")
@click.option("--model", "models", multiple=True, help="Only this model; may be given several times.")
@click.option("--recipe", help="Only runs of this recipe.")
@click.option("--benchmark", help="Only the cells of this benchmark.")
@click.option(
    "--phase", type=click.Choice(_PHASES), default="last", show_default=True, help="Which phase of each run is ranked."
)
@click.option(
    "--metric",
    type=click.Choice(_METRICS),
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
@click.option("--columns", help="Columns, or the name of a set of them, separated by commas.")
@click.option("--sort", help="Column to sort by, the best first; -COLUMN for the reverse order.")
@click.option("--published", "with_published", is_flag=True, help="Write published metrics in brackets behind ours.")
@click.option("--format", "style", type=click.Choice(_FORMATS), default="table", show_default=True, help="Output.")
@uri_option
def leaderboard(
    dataset: str | None,
    models: tuple[str, ...],
    recipe: str | None,
    benchmark: str | None,
    phase: str,
    metric: str,
    delta: float,
    columns: str | None,
    sort: str | None,
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
        from tinybench.commands.leaderboard import rank_models
    from tinybench.display import board_table
    from tinybench.leaderboard import board_columns

    names = board_columns.DEFAULT_COLUMNS if columns is None else board_columns.parse_columns(columns)
    boards = rank_models(
        dataset,
        models=models,
        recipe=recipe,
        benchmark=benchmark,
        phase=phase,
        metric=metric,
        delta=delta,
        sort=sort,
        uri=uri,
    )
    board_table.print_boards(boards, names, style, with_published=with_published)
