"""Print a list of runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from tinybench.commands.runs import DIED
from tinybench.core.metric_text import format_metric
from tinybench.display.durations import format_duration
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_line
from tinybench.tracking import run_kinds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console as Terminal

    from tinybench.commands.runs import ListedRun

_ID_DIGITS = 8  # enough for any command that takes a run
_COLOURS = {"finished": "green", "failed": "red", "killed": "red", DIED: "red", "running": "yellow"}


def print_runs(runs: Sequence[ListedRun], terminal: Terminal) -> None:
    """Print a table of runs, and how those that were interrupted can be resumed."""
    if not runs:
        print_line(terminal, "No runs. Check the options, or name another store with --uri.")
        return
    columns = [
        Column("run", head=True),
        Column("name", wraps=True, head=True),
        "status",
        *number_columns("epoch", "val top-1", "test top-1"),
        "started",
        Column("time", right=True),
    ]
    print_table(terminal, columns, map(_cells, runs))
    for run in runs:
        if run.resumable:
            print_line(terminal, f"{shorten_id(run.run_id)} {run.status}: tinybench resume {shorten_id(run.run_id)}")
    if any(run.status == DIED for run in runs):
        print_line(terminal, "died: marked as running, but its process is gone; tinybench repair marks it as killed.")
    if not all(run.is_sent for run in runs):
        print_line(terminal, "Some runs are only on this machine: tinybench sync sends them.")


def _cells(run: ListedRun) -> list[str | Text]:
    kind = "" if run.kind in (run_kinds.TRAINING, run_kinds.EVALUATION, run_kinds.STUDY) else f" ({run.kind})"
    return [
        shorten_id(run.run_id),
        run.name + (kind if run.kind not in run.name else ""),
        Text(run.status, _COLOURS.get(run.status, "")),
        "" if run.epoch is None else str(run.epoch),
        _format_share(run.val_accuracy),
        _format_share(run.test_accuracy),
        f"{datetime.fromtimestamp(run.started / 1000):%Y-%m-%d %H:%M}",
        "" if run.seconds is None else format_duration(run.seconds),
    ]


def shorten_id(run_id: str) -> str:
    """Return the beginning of an id, by which commands know the run; a key of this machine is not cut."""
    return run_id if "-" in run_id else run_id[:_ID_DIGITS]


def _format_share(value: float | None) -> str:
    return format_metric(value)
