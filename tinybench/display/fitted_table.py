"""Print tables that fit the width of the terminal: the one place that lays out a table of the command line.

A table that is too wide gets narrower columns, with headings and texts wrapped between words. If that is not enough,
each row becomes a block: its head on a line, and below it the other values, each with its heading. No word is broken,
nothing is cut and no column is left out, so that what is printed at any width is all there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from tinybench.core.printable_text import make_printable
from tinybench.display.plain_lines import print_text, print_unwrapped, wrap_words

if TYPE_CHECKING:
    from rich.console import Console as Terminal

_GAP = 2  # between two columns, and between a heading and its value in a block
_INDENT = 4  # of the lines of a block below its head
_LEAST_TEXT = 30  # width to which a column of wrapped text may shrink: in a narrower one it would be a tower


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: The heading.
        right: Align the values at the right, as numbers are.
        wraps: The values are texts that may be wrapped between words.
        head: Belongs to the head of a block. Without such a column, the first one is the head.
    """

    title: str
    right: bool = False
    wraps: bool = False
    head: bool = False


def number_columns(*titles: str) -> list[str | Column]:
    """Return a column of numbers for each heading."""
    return [Column(title, right=True) for title in titles]


def print_table(
    terminal: Terminal,
    columns: Sequence[str | Column],
    rows: Iterable[Sequence[str | Text]],
    title: str = "",
) -> None:
    """Print a table in as many columns as the terminal has: as a table, or else in blocks.

    Args:
        terminal: Where to print.
        columns: The headings, or columns.
        rows: A value for each column; text is printed as it is, without markup.
        title: A line above the table.
    """
    layout = [column if isinstance(column, Column) else Column(column) for column in columns]
    texts = [[_make_text(value) for value in row] for row in rows]
    if title:
        print_text(terminal, title, style="bold")
    widths = _fit_widths(layout, texts, terminal.width)
    if widths is not None:
        terminal.print(_build_table(layout, texts, widths))
    elif texts:
        _print_blocks(terminal, layout, texts)


def _make_text(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(make_printable(value))


def _fit_widths(columns: Sequence[Column], rows: Sequence[Sequence[Text]], room: int) -> list[int] | None:
    """Return the widths of the columns of a table that fits, or None if there is no such table."""
    widths, least = [], []
    for index, column in enumerate(columns):
        values = [row[index] for row in rows]
        widest = max((value.cell_len for value in values), default=0)
        title = Text(column.title)
        widths.append(max(widest, title.cell_len))
        words = [_longest_word(title), *map(_longest_word, values)] if column.wraps else [_longest_word(title), widest]
        least.append(max(*words, min(widths[-1], _LEAST_TEXT) if column.wraps else 0))
    excess = sum(widths) + _GAP * (len(columns) - 1) - room
    while excess > 0:
        shrinkable = [index for index in range(len(columns)) if widths[index] > least[index]]
        if not shrinkable:
            return None
        widths[max(shrinkable, key=widths.__getitem__)] -= 1
        excess -= 1
    return widths


def _longest_word(text: Text) -> int:
    return max((Text(word).cell_len for word in text.plain.split()), default=0)


def _build_table(columns: Sequence[Column], rows: Sequence[Sequence[Text]], widths: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        table.add_column(Text(column.title), justify="right" if column.right else "left", width=width)
    for row in rows:
        table.add_row(*row)
    return table


def _print_blocks(terminal: Terminal, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
    """Print a block for each row: its head, its short values with their headings, then its texts.

    The short values follow the head where all of them have room beside it, or else are below it. A value stands in the
    same place in each block.
    """
    heads = [index for index, column in enumerate(columns) if column.head] or [0]
    short = [index for index, column in enumerate(columns) if index not in heads and not column.wraps]
    titles = [Text(" " * _GAP).join(filter(len, (_make_head(columns[i], row[i]) for i in heads))) for row in rows]
    pairs = [[_join_pair(columns[index], row[index]) for index in short] for row in rows]
    widths = [max(value.cell_len for value in values) for values in (titles, *zip(*pairs, strict=True))]
    beside = sum(widths) + _GAP * len(short) <= terminal.width
    lines = [range(len(short))] if beside else _fill_lines(widths[1:], terminal.width - _INDENT)
    for row, title, values in zip(rows, titles, pairs, strict=True):
        if beside:
            _print_lines(terminal, _join_padded([title, *values], widths), 0)
        else:
            _print_lines(terminal, title, 0)
            for line in lines:
                _print_lines(terminal, _join_padded([values[i] for i in line], [widths[i + 1] for i in line]), _INDENT)
        for index, column in enumerate(columns):
            if column.wraps and index not in heads:
                _print_lines(terminal, _join_pair(column, row[index]), _INDENT)


def _fill_lines(widths: Sequence[int], room: int) -> list[range]:
    """Return the indices of the values that stand in each line, as many as have room."""
    lines, start = [], 0
    for end in range(1, len(widths) + 1):
        if end == len(widths) or sum(widths[start : end + 1]) + _GAP * (end - start) > room:
            lines.append(range(start, end))
            start = end
    return lines


def _make_head(column: Column, value: Text) -> Text:
    """Return the value of a head, a number after its heading: `trial 7`."""
    return Text.assemble(f"{column.title} ", value) if column.right and value.plain else value


def _join_pair(column: Column, value: Text) -> Text:
    """Return a value after its heading; nothing for a value that is empty."""
    return Text.assemble((f"{column.title}: ", "dim"), value) if column.title and value.plain else value.copy()


def _join_padded(texts: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for text, width in zip(texts, widths, strict=True):
        line.append_text(text).pad_right(width - text.cell_len + _GAP)
    line.rstrip()
    return line


def _print_lines(terminal: Terminal, text: Text, indent: int) -> None:
    """Print a text, unless it is empty, wrapped between words, with all lines but the first a little further in."""
    if not text.plain:
        return
    is_short = text.cell_len <= terminal.width - indent
    lines = [text] if is_short else wrap_words(text, terminal.width - indent - _GAP)
    for index, line in enumerate(lines):
        shift = Text(" " * (indent + (_GAP if index else 0)))
        print_unwrapped(terminal, shift.append_text(line))
