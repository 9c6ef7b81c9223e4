"""What the cache holds, and what was removed from it, for people."""

from __future__ import annotations

import time
from pathlib import Path

from rich import filesize
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinybench.core.cache import Entry

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def print_cache_table(entries: list[Entry], root: Path, terminal: Console) -> None:
    """Print a line an entry, and the sum."""
    if entries:
        table = Table("kind", "size", "last used", "what it is", "used by")
        for entry in entries:
            state = "a run" if entry.in_use else ""
            table.add_row(entry.kind, filesize.decimal(entry.bytes), _ago(entry.used), escape(entry.about), state)
        terminal.print(table)
    total = filesize.decimal(sum(entry.bytes for entry in entries))
    terminal.print(f"{total} in {root}", highlight=False, soft_wrap=True, markup=False)


def describe_removal(entries: list[Entry]) -> str:
    """What was removed, in a line."""
    freed = filesize.decimal(sum(entry.bytes for entry in entries))
    return f"Removed {len(entries)} of what was kept: {freed}." if entries else "Nothing was removed."


def _ago(moment: float) -> str:
    passed = time.time() - moment
    for name, seconds in _UNITS:
        if passed >= seconds:
            return f"{passed // seconds:.0f} {name} ago"
    return "just now"
