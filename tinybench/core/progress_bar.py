"""A progress bar on the terminal; nothing is printed elsewhere."""

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

# Called with a title, a total (None if unknown) and a unit ("bytes" or "images").
ProgressFactory = Callable[[str, int | None, str], AbstractContextManager[Advance]]


@contextmanager
def progress_bar(title: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Show a progress bar on standard error if that is a terminal.

    Args:
        title: What is being done.
        total: The amount of work; None if unknown.
        unit: "bytes", or what is counted.

    Yields:
        A function that advances the bar by an amount.
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
