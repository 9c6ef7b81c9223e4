"""The command `copy`, which moves everything of a tracking store to another one."""

from __future__ import annotations

import click

from tinybench.core import quiet_libraries


@click.command()
@click.option("--from", "source", required=True, help="Tracking store that is copied; nothing is written to it.")
@click.option("--to", "target", required=True, help="Tracking store that gets everything.")
@click.option(
    "--experiment", "experiments", multiple=True, help="Copy only this experiment.  [repeatable; default: all]"
)
@click.option("--no-verify", is_flag=True, help="Do not compare both stores afterwards.")
def copy(source: str, target: str, experiments: tuple[str, ...], no_verify: bool) -> int:
    """Copy runs, artifacts, logged models and registered models to another tracking store.

    What the target has already is not sent again: a copy that was interrupted goes on, and a second one changes
    nothing. Afterwards both stores are compared, files by their SHA-256; the exit code is 1 if they differ.

    Example: tinybench copy --from sqlite:///mlflow.db --to http://tracking:5000
    """
    from tinybench.display.console import PipeSafeTerminal

    with quiet_libraries.filter_startup_noise():
        from tinybench.display.copy_progress import CopyConsole
        from tinybench.tracking.copying.store_copy import copy_store
    console = CopyConsole(PipeSafeTerminal())
    with console:
        report = copy_store(source, target, experiments=experiments, verify=not no_verify, callbacks=console)
    console.print_report(report)
    return 0 if report.is_complete else 1
