"""Print the data sets with what is known of each before its files are there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.data.dataset import DatasetCard

_OWN = "folder:/path is a data set as well: a folder with one folder of images per class."


def print_datasets(cards: Iterable[DatasetCard], terminal: Terminal) -> None:
    """Print one row per data set."""
    columns = ("data set", *number_columns("classes", "training images", "test images"), Column("content", wraps=True))
    rows = [(card.name, _count(card.classes), _count(card.train), _count(card.test), card.summary) for card in cards]
    print_table(terminal, columns, rows)
    terminal.print()
    print_text(terminal, _OWN)


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
