"""The command `compare`: finished runs, or recipes, against each other."""

from __future__ import annotations

import click

from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError


@click.command()
@click.argument("run_ids", metavar="[RUN_ID]...", nargs=-1)
@click.option("--metric", default="accuracy", show_default=True, help="Figure on the test images to compare runs by.")
@click.option("--recipes", help="Recipes, separated by commas, in the order of the progression.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object, of runs.")
@click.option("--uri", help="Tracking store that holds the runs.")
def compare(run_ids: tuple[str, ...], metric: str, recipes: str | None, as_json: bool, uri: str | None) -> None:
    """Compare finished runs by their test images, or with --recipes what each step of a progression gained.

    Runs that differ in the seed alone count as runs of one model.
    """
    from rich.console import Console as Terminal

    if bool(recipes) == bool(run_ids):
        raise ConfigError("Give runs to compare, or --recipes: tinybench compare RUN_ID RUN_ID.")
    if recipes and as_json:
        raise ConfigError("--json is for runs: leave out --recipes, or --json.")
    if recipes:
        _compare_recipes(recipes, uri)
        return
    with quiet_libraries.starting():
        from tinybench.commands import compare as versus
    from tinybench.cli import comparison_table

    found = versus.runs(run_ids, metric, uri)
    if as_json:
        click.echo(comparison_table.comparison_json(found))
    else:
        comparison_table.print_comparison(found, Terminal())


def _compare_recipes(recipes: str, uri: str | None) -> None:
    from rich.console import Console as Terminal

    from tinybench.cli import impact_table
    from tinybench.config.run_config import replace
    from tinybench.recipes import build
    from tinybench.tracking import queries
    from tinybench.tracking.tracker import Tracker

    identities = {name: replace(build(name), {}).identity() for name in map(str.strip, recipes.split(","))}
    impact_table.print_impact_table(queries.find_progression(Tracker.at(uri), identities), Terminal())
