"""The command `compare`: finished runs, or the runs of several recipes, beside one another."""

from __future__ import annotations

import click

from tinybench.cli.options import uri_option
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError


@click.command()
@click.argument("run_ids", metavar="[RUN_ID]...", nargs=-1)
@click.option("--metric", default="accuracy", show_default=True, help="Metric of the test images to compare runs by.")
@click.option("--recipes", help="Recipes, separated by commas, each of which improves on the one before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object. Only for runs.")
@uri_option
def compare(run_ids: tuple[str, ...], metric: str, recipes: str | None, as_json: bool, uri: str | None) -> None:
    """Compare finished runs on their test images.

    Runs that differ only in the seed count as runs of one model. With --recipes, print what the newest run of each
    recipe gained over the recipe before.

    Example: tinybench compare 2b1f… 9c04… --metric f1_macro
    """
    from rich.console import Console as Terminal

    if bool(recipes) == bool(run_ids):
        raise ConfigError("Give runs to compare, or --recipes: tinybench compare RUN_ID RUN_ID.")
    if recipes and as_json:
        raise ConfigError("--json is for runs only: leave out --recipes, or --json.")
    if recipes:
        _compare_recipes(recipes, uri)
        return
    with quiet_libraries.filter_startup_noise():
        from tinybench.commands import compare
    from tinybench.display import comparison_table

    comparison = compare.compare_runs(run_ids, metric=metric, uri=uri)
    if as_json:
        click.echo(comparison_table.comparison_json(comparison))
    else:
        comparison_table.print_comparison(comparison, Terminal())


def _compare_recipes(recipes: str, uri: str | None) -> None:
    from rich.console import Console as Terminal

    from tinybench.config.run_config import replace
    from tinybench.display import impact_table
    from tinybench.recipes import build
    from tinybench.tracking import queries
    from tinybench.tracking.tracker import Tracker

    identities = {name: replace(build(name), {}).identity() for name in map(str.strip, recipes.split(","))}
    impact_table.print_impact_table(queries.find_progression(Tracker.at(uri), identities), Terminal())
