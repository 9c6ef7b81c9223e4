"""The command `runs`: the runs of a store."""

from __future__ import annotations

import json
from typing import Any

import click

from tinybench.cli.options import offline_option, uri_option
from tinybench.core import quiet_libraries


@click.command()
@click.option("--filter", "search", default="", help="Only runs that match a filter of MLflow, as \"tags.team = 'x'\".")
@click.option("--dataset", help="Only runs on this data set.")
@click.option("--model", help="Only runs of this model.")
@click.option(
    "--best", is_flag=True, help="Finished runs of each data set, the highest accuracy on the validation images first."
)
@click.option("--interrupted", is_flag=True, help="Only runs that did not finish and can be resumed.")
@click.option("--all", "include_parts", is_flag=True, help="Also the runs of phases, folds, trials and seeds.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Largest number of runs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per run and line.")
@uri_option
@offline_option
def runs(as_json: bool, uri: str | None, **options: Any) -> None:
    """List the runs, the newest first.

    Every command that takes a run also takes the first 4 or more digits of its id, its name, last (your newest run)
    or best (the finished run with the highest accuracy on the validation images).

    Examples: tinybench runs --interrupted; tinybench resume last; tinybench export best
    """
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.commands.runs import list_runs
        from tinybench.display import run_table
    listed = list_runs(uri, **options)
    if as_json:
        for run in listed:
            click.echo(json.dumps(run.to_dict()))
    else:
        run_table.print_runs(listed, Terminal())
