"""Print boards: a table of models, and what is concluded of their pairs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tinybench.core.metric_text import format_interval, format_metric
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_note, print_text
from tinybench.leaderboard import average_ranks
from tinybench.leaderboard.board_columns import choose_columns
from tinybench.leaderboard.board_notes import describe_images, list_notes
from tinybench.leaderboard.ranking_metrics import METRICS
from tinybench.leaderboard.table import to_json, write_board

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.leaderboard.average_ranks import AverageRanks
    from tinybench.leaderboard.dataset_board import DatasetBoard
    from tinybench.leaderboard.pairs import Pair

_MAX_FAILED = 5
_MAX_PAIRS = 10  # that are printed; of more, those that are unresolved and may be the best


def print_boards(
    boards: Sequence[DatasetBoard], columns: Sequence[str], style: str, *, with_published: bool = False
) -> None:
    """Print boards in a format.

    Args:
        boards: The boards.
        columns: Names of columns, see `leaderboard.board_columns.COLUMNS`.
        style: One of `leaderboard.table.FORMATS`.
        with_published: Whether published metrics are written in brackets behind ours.
    """
    if style == "json":
        click.echo(json.dumps([to_json(board) for board in boards], indent=1, allow_nan=False))
        return
    if style == "csv" and len(boards) > 1:
        columns = [*dict.fromkeys(("dataset", *columns))]  # a CSV file has no headings between its boards
    if style != "table":
        texts = (write_board(board, columns, style, with_published=with_published) for board in boards)
        click.echo("\n\n".join(filter(None, texts)))  # in CSV there may be nothing of a board
        return
    from rich.console import Console as Terminal

    terminal = Terminal()
    for board in boards:
        print_board(board, columns, terminal, with_published=with_published)
    ranks = average_ranks.average_ranks(boards)
    if ranks is not None:
        print_average_ranks(ranks, terminal)


def print_board(
    board: DatasetBoard, columns: Sequence[str], terminal: Terminal, *, with_published: bool = False
) -> None:
    """Print a board as a table, with its conclusions and how to read them."""
    if not board.rows:
        print_text(terminal, describe_images(board), style="bold")
        _print_notes(board, terminal)
        return
    shown_columns = choose_columns(board, columns, with_published=with_published)
    layout = [
        Column(column.title, right=column.is_number, wraps=not column.is_number, head=column.title == "model")
        for column in shown_columns
    ]
    rows = [[column.read(row) for column in shown_columns] for row in board.rows]
    print_table(terminal, layout, rows, describe_images(board))
    if board.pairs:
        print_pairs(board, terminal)
    print_text(terminal, _describe_method(board))
    _print_notes(board, terminal)


def _print_notes(board: DatasetBoard, terminal: Terminal) -> None:
    for note in list_notes(board, most_failed=_MAX_FAILED):
        print_note(terminal, note)
    terminal.print()


def print_pairs(board: DatasetBoard, terminal: Terminal) -> None:
    """Print how many pairs there are of each conclusion, which models may be the best, and the pairs that matter."""
    counts = Counter(pair.conclusion for pair in board.pairs)
    summary = ", ".join(f"{counts[name]} {name}" for name in ("better", "equivalent", "unresolved") if counts[name])
    best = {row.name for row in board.rows if row.may_be_best}
    printed = [
        pair
        for pair in board.pairs
        if len(board.pairs) <= _MAX_PAIRS or (pair.conclusion == "unresolved" and {pair.first, pair.second} <= best)
    ][:_MAX_PAIRS]
    print_text(
        terminal, f"Pairs: {summary}. May be the best: {', '.join(row.name for row in board.rows if row.may_be_best)}."
    )
    if printed:
        layout = (Column("pair", wraps=True, head=True), *number_columns("difference", "interval"), "conclusion")
        print_table(terminal, layout, [_cells(pair, board.metric) for pair in printed])


def print_average_ranks(ranks: AverageRanks, terminal: Terminal) -> None:
    """Print the average ranks over several data sets."""
    rows = [(name, format_metric(rank, ".2f")) for name, rank in ranks.ranks.items()]
    layout = (Column("model", wraps=True, head=True), *number_columns("average rank"))
    print_table(terminal, layout, rows, f"Over {', '.join(ranks.datasets)}")
    print_text(
        terminal,
        f"Two average ranks differ beyond chance from {ranks.critical_difference:.2f} on (Nemenyi, 95 %).",
    )
    if ranks.left_out:
        print_note(
            terminal, f"Without a result on each data set, and not ranked over all: {', '.join(ranks.left_out)}."
        )


def _cells(pair: Pair, metric: str) -> tuple[str, str, str, str]:
    conclusion = pair.conclusion
    text = f"{conclusion}; {pair.seeds_needed} seeds may settle it" if pair.seeds_needed else conclusion
    value, low, high = pair.value, pair.low, pair.high
    if METRICS[metric].lower_is_better:  # a pair says how much better the first model is
        value, low, high = -value, -high, -low
    interval = format_interval(low, high, "+.4f")
    return f"{pair.first} minus {pair.second}", format_metric(value, "+.4f"), interval, text


def _describe_method(board: DatasetBoard) -> str:
    resampled = "seeds and test images" if board.compares_models else "test images, not seeds: each model has one run"
    return (
        "rank: the ranks that a model may have. Intervals of differences hold for all pairs at once, over "
        f"{resampled}. equivalent: they differ by less than {board.margin:g}."
    )
