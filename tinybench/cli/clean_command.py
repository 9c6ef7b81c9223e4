"""The command `clean`, which frees disk space on this machine."""

from __future__ import annotations

import click

from tinybench.cli.options import uri_option
from tinybench.core import quiet_libraries


@click.command()
@click.option(
    "--days",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    help="Age from which interrupted runs and cached entries count as forgotten.",
)
@click.option("--dry-run", is_flag=True, help="List what would be removed, with sizes; remove nothing.")
@uri_option
def clean(days: float, dry_run: bool, uri: str | None) -> None:
    """Remove what is kept on this machine and not needed any more.

    These are checkpoints of runs that are finished, deleted, or interrupted and forgotten; what was logged and is
    sent; and cached features and images that were not used for long. Tracking stores are not changed.
    """
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.commands.clean import clean as remove_leftovers
        from tinybench.display import leftover_table
    leftovers = remove_leftovers(uri, days=days, dry_run=dry_run)
    leftover_table.print_leftovers(leftovers, Terminal(), dry_run=dry_run)
