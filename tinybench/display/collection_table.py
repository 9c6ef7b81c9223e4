"""Print what is removed from a tracking server for ever, and what is kept."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import filesize

from tinybench.core.printable_text import make_printable
from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.service.collection.collect import Collection
    from tinybench.service.collection.plan import Item

_ITEMS = 200  # that are listed
_INDENT = " " * 12  # below the kind
_MIN_WIDTH = 20


def print_collection(collection: Collection, terminal: Terminal) -> None:
    """Print what was, or would be, removed and kept, each the largest first, and what was freed."""
    plan, removed = collection.plan, collection.removed
    _print_items("Would be removed" if removed is None else "Removed", plan.removed, terminal)
    _print_items("Kept", plan.kept, terminal)
    if removed is None:
        print_line(terminal, f"Would free {filesize.decimal(plan.bytes)}: {_count(plan.removed)}. Nothing was removed.")
        return
    print_line(terminal, f"Freed {filesize.decimal(removed.bytes)}: {_count(removed.items)}.")
    for item in removed.changed:
        print_line(terminal, f"Not removed: {item.kind} {make_printable(item.id)} was restored or is needed by now.")
    for name, reason in removed.failures.items():
        print_line(terminal, f"Not removed: {make_printable(name)}: {reason} Run it again.")


def _print_items(title: str, items: Sequence[Item], terminal: Terminal) -> None:
    """Print some lines for each item: a table would cut ids, names and reasons at 80 columns."""
    if not items:
        return
    print_line(terminal, f"{title}:")
    for item in items[:_ITEMS]:
        print_line(terminal, f"{filesize.decimal(item.bytes):>10}  {item.kind} {make_printable(item.id)}")
        if item.name not in ("", item.id):
            _print_indented(terminal, make_printable(item.name))
        _print_indented(terminal, make_printable(item.reason))
    if len(items) > _ITEMS:
        print_line(terminal, f"… and {len(items) - _ITEMS:,} more, none of them larger.")


def _print_indented(terminal: Terminal, text: str) -> None:
    """Print a line that is wrapped on a terminal alone, so that it is found by `grep`."""
    width = max(terminal.width - len(_INDENT), _MIN_WIDTH) if terminal.is_terminal else len(text)
    for line in textwrap.wrap(text, max(width, 1), break_on_hyphens=False):
        print_line(terminal, f"{_INDENT}{line}")


def _count(items: Sequence[Item]) -> str:
    """Return how many items of each kind there are."""
    counts = Counter(item.kind for item in items)
    named = (f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in counts.items())
    return ", ".join(named) or "nothing to remove"
