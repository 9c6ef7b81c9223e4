"""Print the entries of the cache, and what was removed from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich import filesize

from tinybench.display.fitted_table import Column, print_table
from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.core.cache import CacheEntry

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))  # names and seconds, the largest first


def print_cache_table(entries: Sequence[CacheEntry], root: Path, terminal: Terminal) -> None:
    """Print one row per entry, and their total size in the folder `root`."""
    if entries:
        columns = ("kind", Column("size", right=True), "last used", Column("description", wraps=True), "used by")
        print_table(terminal, columns, map(_make_row, entries))
    print_line(terminal, f"{_total_size(entries)} in {root}")


def _make_row(entry: CacheEntry) -> tuple[str, ...]:
    size, age = filesize.decimal(entry.bytes), _format_age(entry.last_used)
    return entry.kind, size, age, entry.description, "a run" if entry.in_use else ""


def describe_removal(removed: Sequence[CacheEntry]) -> str:
    """Return one line about the entries that were removed."""
    if not removed:
        return "Nothing was removed."
    return f"Removed {len(removed)} {'entry' if len(removed) == 1 else 'entries'}: {_total_size(removed)}."


def _total_size(entries: Sequence[CacheEntry]) -> str:
    return filesize.decimal(sum(entry.bytes for entry in entries))


def _format_age(timestamp: float) -> str:
    """Return the time since a moment, in whole units of the largest kind that fits."""
    age = time.time() - timestamp
    for name, seconds in _UNITS:
        if age >= seconds:
            return f"{age // seconds:.0f} {name} ago"
    return "just now"
