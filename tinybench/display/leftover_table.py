"""Print what `tinybench clean` removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import filesize

from tinybench.display.fitted_table import Column, print_table
from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console as Terminal

    from tinybench.commands.clean import Leftover


_NAME_LENGTH = 16  # enough to find a folder by; names are ids and hashes


def print_leftovers(leftovers: Sequence[Leftover], terminal: Terminal, *, dry_run: bool) -> None:
    """Print one row per folder with its size and why it is not needed, and their total size."""
    if not leftovers:
        print_line(terminal, "There is nothing to remove; tinybench cache list shows what is kept for later runs.")
        return
    columns: list[str | Column] = ["kind", Column("size", right=True), "folder", Column("reason", wraps=True)]
    rows = [
        (leftover.kind, filesize.decimal(leftover.bytes), leftover.path.name[:_NAME_LENGTH], leftover.reason)
        for leftover in leftovers
    ]
    print_table(terminal, columns, rows)
    total = filesize.decimal(sum(leftover.bytes for leftover in leftovers))
    print_line(terminal, f"{total} would be removed." if dry_run else f"{total} removed.")
