"""Print lines that are not wrapped or cut, so that they can be copied and searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from rich.console import Console as Terminal


def print_line(terminal: Terminal, text: str) -> None:
    """Print one line as it is: not wrapped, without colours and with its brackets."""
    terminal.print(text, highlight=False, soft_wrap=True, markup=False)


def print_note(terminal: Terminal, text: str) -> None:
    """Print one line after a yellow `Note:`."""
    terminal.print(f"[yellow]Note:[/yellow] {escape(text)}", highlight=False, soft_wrap=True)
