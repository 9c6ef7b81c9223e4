"""What to know of a board besides its table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench.core.count_text import describe_count
from tinybench.core.printable_text import make_printable
from tinybench.leaderboard.ranking_metrics import METRICS

if TYPE_CHECKING:
    from tinybench.leaderboard.dataset_board import DatasetBoard
    from tinybench.leaderboard.pairs import Pair


def describe_images(board: DatasetBoard) -> str:
    """Return the heading of a board."""
    dataset = make_printable(board.dataset)
    return f"{dataset}, {board.images:,} test images" if board.rows else f"{dataset}: no run can be ranked."


def list_conclusions(board: DatasetBoard) -> list[str]:
    """Return which models may be the best, and what is concluded of each pair, a sentence each."""
    if not board.pairs:
        return []
    best = [row.name for row in board.rows if row.may_be_best]
    sentences = [f"May be the best: {', '.join(best)}.", *(_describe_pair(pair, board) for pair in board.pairs)]
    return [*map(make_printable, sentences)]


def _describe_pair(pair: Pair, board: DatasetBoard) -> str:
    sign = -1 if METRICS[board.metric].lower_is_better else 1  # a pair says how much better the first model is
    low, high = sorted((sign * pair.low, sign * pair.high))
    seeds = f"; {pair.seeds_needed} seeds may settle it" if pair.seeds_needed else ""
    difference = f"{sign * pair.value:+.4f} [{low:+.4f}, {high:+.4f}]"
    return f"{pair.first} minus {pair.second}: {difference}, {pair.conclusion}{seeds}."


def list_notes(board: DatasetBoard, *, most_failed: int | None = None) -> list[str]:
    """Return a sentence for each failed cell, for the runs that are not ranked, the hints, and models left out.

    Args:
        board: The board.
        most_failed: How many failed cells are named; all if None.
    """
    failed = [cell.describe() for cell in board.failed[:most_failed]]
    more = len(board.failed) - len(failed)
    not_ranked = [f"Not ranked: {describe_count(count, reason)}." for reason, count in board.left_out.items()]
    notes = [*failed, *([f"{describe_count(more, 'more cells')} failed."] if more else []), *not_ranked, *board.hints]
    return [*map(make_printable, [*notes, *(model.describe() for model in board.halved)])]
