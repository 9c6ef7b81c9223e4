"""Print what is removed from a tracking server for ever, and what is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import filesize
from rich.markup import escape
from rich.table import Table

from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.service.collection.collect import Collection
    from tinybench.service.collection.plan import Item

_ROWS = 200  # of a table


def print_collection(collection: Collection, terminal: Terminal) -> None:
    """Print what was, or would be, removed and kept, each the largest first, and what was freed."""
    plan, removed = collection.plan, collection.removed
    _print_table("Would be removed" if removed is None else "Removed", plan.removed, terminal)
    _print_table("Kept", plan.kept, terminal)
    if removed is None:
        print_line(terminal, f"Would free {filesize.decimal(plan.bytes)}: {_count(plan.removed)}. Nothing was removed.")
        return
    print_line(terminal, f"Freed {filesize.decimal(removed.bytes)}: {_count(removed.items)}.")
    for item in removed.changed:
        print_line(terminal, f"Not removed: {item.kind} {_printable(item.id)} was restored or is needed by now.")
    for name, reason in removed.failures.items():
        print_line(terminal, f"Not removed: {_printable(name)}: {reason} Run it again.")


def _print_table(title: str, items: Sequence[Item], terminal: Terminal) -> None:
    if not items:
        return
    table = Table(title=title, title_justify="left")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("id", no_wrap=True, min_width=min(36, max(len(item.id) for item in items)))  # to be copied
    table.add_column("name")
    table.add_column("reason")
    for item in items[:_ROWS]:
        cells = (item.kind, _printable(item.id), _printable(item.name), _printable(item.reason))
        table.add_row(filesize.decimal(item.bytes), *map(escape, cells))
    terminal.print(table)
    if len(items) > _ROWS:
        print_line(terminal, f"… and {len(items) - _ROWS:,} more, none of them larger.")


def _count(items: Sequence[Item]) -> str:
    """Return how many items of each kind there are."""
    counts = Counter(item.kind for item in items)
    named = (f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    return ", ".join(named) or "nothing to remove"


def _printable(text: str) -> str:
    """Return a text from the database without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)
