"""The command `relocate`, which corrects where a store says that its artifacts are."""

from __future__ import annotations

from pathlib import Path

import click

from tinybench.cli.options import uri_option
from tinybench.core import quiet_libraries


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--dry-run", is_flag=True, help="Print what would be changed; change nothing.")
@uri_option
def relocate(folder: Path | None, dry_run: bool, uri: str | None) -> int:
    """Have a SQLite store find its artifacts again, after they were moved to FOLDER.

    MLflow stores whole paths, so that a working directory that is moved or renamed loses its artifacts. Without FOLDER
    they are looked for beside the store. What is where the store says stays as it is; the exit code is 1 if artifacts
    are still missing.

    Examples: tinybench relocate; tinybench relocate /data/mlruns --uri sqlite:////data/mlflow.db
    """
    from rich.console import Console as Terminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.display import relocation_lines
        from tinybench.tracking import relocation, store
    result = relocation.relocate(uri or store.default_uri(), folder, dry_run=dry_run)
    relocation_lines.print_relocation(result, Terminal(), dry_run=dry_run)
    return 1 if result.absent else 0
