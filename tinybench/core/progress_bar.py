"""A bar on the terminal for what takes long, and silence everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Display

Advance = Callable[[int], None]

# Opened with a title, a total (None when unknown) and a unit ("bytes" or "images").
Progress = Callable[[str, int | None, str], AbstractContextManager[Advance]]


@contextmanager
def bar(title: str, total: int | None, unit: str) -> Iterator[Advance]:
    """A bar on standard error when that is a terminal.

    Args:
        title: What is going on.
        total: How much there is to do; None when unknown.
        unit: "bytes" or what is counted.

    Yields:
        A function that takes how much more has been done.
    """
    if not sys.stderr.isatty():
        yield lambda _amount: None
        return
    counts: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TextColumn(unit))
    if unit == "bytes":
        counts = (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn())
    with Display(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(title, total=total)
        yield lambda amount: display.advance(task, amount)
