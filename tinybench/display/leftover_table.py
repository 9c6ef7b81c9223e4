"""Print what `tinybench clean` removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import filesize
from rich.table import Table

from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console as Terminal

    from tinybench.commands.clean import Leftover


def print_leftovers(leftovers: Sequence[Leftover], terminal: Terminal, *, dry_run: bool) -> None:
    """Print one row per folder with its size and why it is not needed, and their total size."""
    if not leftovers:
        print_line(terminal, "There is nothing to remove.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("kind", "size", "folder", "reason"):
        table.add_column(title, no_wrap=title != "reason", justify="right" if title == "size" else "left")
    for leftover in leftovers:
        name = leftover.path.name[:16]
        table.add_row(leftover.kind, filesize.decimal(leftover.bytes), name, leftover.reason)
    terminal.print(table)
    total = filesize.decimal(sum(leftover.bytes for leftover in leftovers))
    print_line(terminal, f"{total} would be removed." if dry_run else f"{total} removed.")
