"""The command `server gc`, which removes for ever what was deleted."""

from __future__ import annotations

import re

import click

from tinybench.cli.server_store import read_store
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


@click.command()
@click.option("--dry-run", is_flag=True, help="List what would be removed, and remove nothing.")
@click.option(
    "--older-than",
    default="30d",
    show_default=True,
    help="Keep what was deleted or written less than this ago, such as 12h or 30d.",
)
@click.option("--with-models", is_flag=True, help="Remove the logged models of deleted runs, too, unless registered.")
@click.option("--accept-orphans", is_flag=True, help="Go on although most folders belong to nothing in the database.")
@click.pass_context
def gc(context: click.Context, dry_run: bool, older_than: str, with_models: bool, accept_orphans: bool) -> int:
    """Remove deleted runs, logged models and experiments for ever, and artifacts that belong to nothing.

    What a registered model needs, also to roll back, is kept, and so is what an unsent journal of this machine writes
    to. The server may run meanwhile. Which server it is for is told before the word gc.

    Example: tinybench server --backend-store-uri sqlite:///mlflow.db gc --dry-run
    """
    seconds = parse_age(older_than)
    from tinybench.display.console import PipeSafeTerminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.display.collection_table import print_collection
        from tinybench.service.collection.collect import collect
    settings = read_store(context)
    collection = collect(
        settings.backend_store_uri,
        settings.artifacts_destination,
        older_than=seconds,
        dry_run=dry_run,
        with_models=with_models,
        accept_orphans=accept_orphans,
    )
    print_collection(collection, PipeSafeTerminal())
    return 1 if collection.removed is not None and collection.removed.failures else 0


def parse_age(text: str) -> float:
    """Return the seconds of a time such as 30d, 12h, 15m or 90s.

    Raises:
        ConfigError: It is not such a time.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dhms])", text.strip())
    if match is None:
        raise ConfigError(f"Invalid value for `--older-than`: expected a time such as 30d, 12h or 15m, got {text!r}.")
    return float(match[1]) * _UNITS[match[2]]
