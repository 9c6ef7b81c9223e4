"""Print what is not sent, what was sent, and which runs were repaired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_line, print_text

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console as Terminal

    from tinybench.commands.repair import RepairedRun
    from tinybench.commands.status import UnsentRun
    from tinybench.commands.sync import SyncResult


def print_unsent(runs: Sequence[UnsentRun], unreadable: Sequence[Path], terminal: Terminal) -> None:
    """Print the runs that are not wholly sent, with the way to send them, and journals that cannot be read."""
    _print_unreadable(unreadable, terminal)
    if not (runs or unreadable):
        print_line(terminal, "Everything is sent.")
    for uri in dict.fromkeys(run.uri for run in runs):
        rows = [run for run in runs if run.uri == uri]
        columns = ("run", Column("name", wraps=True), *number_columns("unsent", "MB of files", "refused"))
        print_line(terminal, uri)
        print_table(terminal, columns, map(_make_row, rows))
        for reason in dict.fromkeys(reason for row in rows for reason in row.reasons):
            print_text(terminal, f"Refused: {reason}")
    if any(run.unsent for run in runs):
        print_line(terminal, "Send them with: tinybench sync")
    if any(run.refused for run in runs):
        print_line(terminal, "Try again what was refused with: tinybench sync --retry-refused")


def _make_row(run: UnsentRun) -> tuple[str, ...]:
    name = f"{run.name} (being written)" if run.is_written else run.name
    size = f"{run.size / 1e6:,.1f}" if run.size else ""
    return run.run, name, f"{run.unsent:,}", size, f"{run.refused:,}" if run.refused else ""


def _print_unreadable(unreadable: Sequence[Path], terminal: Terminal) -> None:
    for folder in unreadable:
        print_line(terminal, f"{folder} cannot be read: it is damaged, or of another version of tinybench.")


def print_sync(results: Sequence[SyncResult], unreadable: Sequence[Path], terminal: Terminal) -> None:
    """Print how many entries went to each store, the pages of the runs, and journals that cannot be read."""
    _print_unreadable(unreadable, terminal)
    if not (results or unreadable):
        print_line(terminal, "Everything is sent.")
    for result in results:
        if result.counts.settled or not result.problems:
            print_line(terminal, f"{result.uri}: {result.counts}.")
        else:
            print_line(terminal, f"{result.uri}: nothing was sent.")
        for name, link in result.links:
            print_line(terminal, f"  {name}: {link}")
        if result.damaged:
            print_line(terminal, f"  {result.damaged} entries are damaged in the journal and lost.")
        if result.unsent:
            print_line(terminal, f"  {result.unsent} entries are not sent.")
        for problem in dict.fromkeys(result.problems):
            print_line(terminal, f"  {problem}")


def print_repaired(runs: Sequence[RepairedRun], terminal: Terminal, *, dry_run: bool) -> None:
    """Print the runs that were marked as killed, and the commands that resume them."""
    if not runs:
        print_line(terminal, "No run is known to be dead.")
        return
    for run in runs:
        action = "would be marked" if dry_run else "is marked"
        print_line(terminal, f"{run.name}, run {run.run_id}, {action} KILLED. {run.reason}")
        if run.resume:
            print_line(terminal, f"  Resume it with: {run.resume}")
