"""Average ranks over data sets, as Demšar has them."""

from __future__ import annotations

import pytest

from tinybench.leaderboard.average_ranks import average_ranks
from tinybench.leaderboard.dataset_board import BoardRow, DatasetBoard


def board(dataset: str, **values: float) -> DatasetBoard:
    rows = tuple(BoardRow(name, (), value, 0, 1, 0.01, (1, 9), True) for name, value in values.items())
    return DatasetBoard(dataset, 100, "accuracy", 0.01, True, rows, ())


def test_ranks_are_averaged_and_ties_share_theirs():
    found = average_ranks([board("x", a=0.9, b=0.8, c=0.8), board("y", a=0.7, b=0.9, c=0.1)])
    assert found is not None
    assert found.ranks == {"a": 1.5, "b": 1.75, "c": 2.75}
    assert (found.datasets, found.left_out) == (("y", "x"), ())


def test_the_critical_difference_is_that_of_the_source():
    """Four classifiers on fourteen data sets: 2.569 times the root of 4 · 5 / (6 · 14) is 1.25."""
    found = average_ranks([board(f"d{number}", a=0.1, b=0.2, c=0.3, d=0.4) for number in range(14)])
    assert found is not None
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)


def test_a_model_that_lacks_a_data_set_is_left_out_and_not_imputed():
    found = average_ranks([board("x", a=0.9, b=0.8, c=0.7), board("y", a=0.7, b=0.9)])
    assert found is not None
    assert (set(found.ranks), found.left_out) == ({"a", "b"}, ("c",))


@pytest.mark.parametrize(
    "boards",
    [[], [board("x", a=1, b=0)], [board("x", a=1, b=0), board("x", a=0, b=1)], [board("x", a=1), board("y", a=1)]],
)
def test_there_is_no_average_of_less(boards):
    assert average_ranks(boards) is None
