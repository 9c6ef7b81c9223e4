"""Print which folders of artifacts a store names differently now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.tracking.relocation import Relocation

_MAX_LISTED = 5


def print_relocation(relocation: Relocation, terminal: Terminal, *, dry_run: bool) -> None:
    """Print the folders that were moved, the number of locations that were changed, and what is still missing."""
    for old, new in relocation.moves.items():
        print_line(terminal, f"{old} is at {new}")
    if relocation.changed:
        action = "would be changed" if dry_run else "changed"
        print_line(terminal, f"{relocation.changed:,} locations {action}.")
    elif not relocation.absent:
        print_line(terminal, "All artifacts are where the store says.")
    if relocation.absent:
        print_line(terminal, f"{len(relocation.absent):,} folders of artifacts are not found:")
        for folder in relocation.absent[:_MAX_LISTED]:
            print_line(terminal, f"  {folder}")
        if len(relocation.absent) > _MAX_LISTED:
            print_line(terminal, "  …")
        print_line(terminal, "Name the folder that has them now: tinybench relocate FOLDER")
