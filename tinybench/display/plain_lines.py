"""Print lines that are not wrapped or cut, so that they can be copied and searched for, and prose that is wrapped."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unicodedata import category

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console as Terminal


def print_line(terminal: Terminal, text: str) -> None:
    """Print one line as it is: not wrapped, without colours and with its brackets."""
    terminal.print(text, highlight=False, soft_wrap=True, markup=False)


def print_text(terminal: Terminal, text: str, style: str = "") -> None:
    """Print prose without markup: wrapped between words on a terminal, one line elsewhere, where it is searched for."""
    _print_prose(terminal, Text(_drop_controls(text), style=style))


def print_note(terminal: Terminal, text: str) -> None:
    """Print prose after a yellow `Note:`; see `print_text`."""
    _print_prose(terminal, Text.assemble(("Note:", "yellow"), f" {_drop_controls(text)}"))


def _drop_controls(text: str) -> str:
    """Return prose without characters that a terminal would obey; its lines and its spaces stay."""
    return "\n".join(
        "".join(character if character.isprintable() or category(character) == "Zs" else "?" for character in line)
        for line in text.expandtabs().split("\n")
    )


def _print_prose(terminal: Terminal, prose: Text) -> None:
    for line in wrap_words(prose, terminal.width) if terminal.is_terminal else [prose]:
        print_unwrapped(terminal, line)


def print_unwrapped(terminal: Terminal, line: Text) -> None:
    """Print a line that is as wide as it should be; of one that is too wide nothing is cut."""
    terminal.print(line, no_wrap=True, overflow="ignore", crop=False)


def wrap_words(text: Text, width: int) -> list[Text]:
    """Return the lines of a text that is broken between words only; a word that is too wide has a line to itself."""
    lines: list[Text] = []
    for word in text.split(" "):
        if lines and lines[-1].cell_len + 1 + word.cell_len <= width:
            lines[-1].append(" ").append_text(word)
        else:
            lines.append(word)
    return lines
