"""The commands about what is logged: `status`, `sync` and `repair`."""

from __future__ import annotations

from pathlib import Path

import click

from tinybench.cli.options import uri_option
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError


@click.command()
def status() -> int:
    """List the runs of this machine that are not wholly sent to their tracking store."""
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.commands.status import list_unreadable, list_unsent
        from tinybench.display import unsent_table
    unreadable = list_unreadable()
    unsent_table.print_unsent(list_unsent(), unreadable, Terminal())
    return 1 if unreadable else 0


@click.command()
@click.argument("bundles", nargs=-1, type=click.Path(path_type=Path), metavar="[BUNDLE]...")
@click.option("--to", "uri", help="Tracking store to send to.  [default: of each run its own]")
@click.option("--pack", type=click.Path(path_type=Path), help="Write everything into this one file; send nothing.")
@click.option("--retry-refused", is_flag=True, help="Send again what a store has refused.")
def sync(bundles: tuple[Path, ...], uri: str | None, pack: Path | None, retry_refused: bool) -> int:
    """Send what was logged on this machine, or in BUNDLE, to its tracking store.

    A BUNDLE is a file of --pack, or the folder of a journal. Sending twice does no harm.

    Examples: tinybench sync; tinybench sync run.zip --to http://tracking:5000
    """
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.commands import sync as syncing
        from tinybench.commands.status import list_unreadable
        from tinybench.display import unsent_table
    if pack is not None:
        if bundles or uri or retry_refused:
            raise ConfigError("--pack writes a file and sends nothing: leave out BUNDLE, --to and --retry-refused.")
        click.echo(f"{syncing.pack(pack):,} entries packed into {pack}. Send them with: tinybench sync {pack} --to URI")
        return 0
    if uri == "":
        raise ConfigError("Invalid value for `--to`: it is empty. Name a store, or leave the option out.")
    results = syncing.sync(bundles, to=uri, retry_refused=retry_refused)
    unreadable = [] if bundles else list_unreadable()
    unsent_table.print_sync(results, unreadable, Terminal())
    return 0 if all(result.is_complete for result in results) and not unreadable else 1


@click.command()
@click.option("--all", "include_unknown", is_flag=True, help="Also mark running runs that tinybench did not make.")
@click.option("--dry-run", is_flag=True, help="List the runs; mark none.")
@uri_option
def repair(include_unknown: bool, dry_run: bool, uri: str | None) -> None:
    """Mark runs whose process is gone as KILLED, and print how each can be resumed.

    A run of another host counts as dead after 10 minutes without a sign of life.
    """
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.commands.repair import repair as repair_runs
        from tinybench.display import unsent_table
    runs = repair_runs(uri, include_unknown=include_unknown, dry_run=dry_run)
    unsent_table.print_repaired(runs, Terminal(), dry_run=dry_run)
