"""Rows of a data set that are drawn by chance."""

from __future__ import annotations

import numpy as np
import pytest

from tinybench.data.dataset import sample_rows


def test_a_sample_is_the_same_in_every_process():
    assert sample_rows(1000, 5).tolist() == [635, 510, 269, 307, 847]
    assert sample_rows(1000, 5, seed=1).tolist() == [510, 34, 753, 949, 471]


@pytest.mark.parametrize(("count", "size"), [(100, 20), (7, 20), (20, 20)])
def test_a_sample_holds_each_row_once_at_most(count, size):
    rows = sample_rows(count, size)
    assert len(rows) == len(set(rows.tolist())) == min(count, size)
    assert np.isin(rows, np.arange(count)).all()
    assert not np.array_equal(rows, np.sort(rows))
