"""Variances over seeds are moderated by those of all models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench.leaderboard.seed_variance import estimate_seed_variance


def test_without_several_runs_nothing_is_known():
    found = estimate_seed_variance(np.full(3, np.nan), np.ones(3, int))
    assert (found.values.tolist(), found.degrees.tolist()) == ([0, 0, 0], [0, 0, 0])


def test_two_models_keep_their_own_variances():
    found = estimate_seed_variance(np.array([1.0, 9.0]), np.array([5, 5]))
    assert (found.values.tolist(), found.degrees.tolist()) == ([1, 9], [4, 4])


def test_a_model_with_one_run_has_the_variance_of_the_others():
    found = estimate_seed_variance(np.array([1.0, np.nan]), np.array([5, 1]))
    assert (found.values.tolist(), found.degrees.tolist()) == ([1, 1], [4, 4])


def test_each_variance_is_drawn_towards_that_of_all_models():
    found = estimate_seed_variance(np.array([1.0, 2.0, 6.0]), np.array([5, 5, 5]))
    assert found.prior == 3
    assert found.values.tolist() == [2, 2.5, 4.5]  # the prior counts for as many degrees as five runs have
    assert found.degrees.tolist() == [8, 8, 8]


def test_many_runs_keep_their_own_variance():
    found = estimate_seed_variance(np.array([1.0, 2.0, 6.0]), np.full(3, 1001))
    assert found.values == pytest.approx([1, 2, 6], rel=0.01)


def test_degrees_are_no_more_than_those_of_all_runs():
    assert estimate_seed_variance(np.array([1.0, 2.0, 6.0]), np.full(3, 2)).degrees.tolist() == [3, 3, 3]


def test_among_several_models_one_run_has_the_variance_of_all():
    found = estimate_seed_variance(np.array([1.0, 2.0, 6.0, np.nan]), np.array([5, 5, 5, 1]))
    assert (found.values[3], found.degrees[3]) == (3, 4)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=8), st.integers(2, 9))
def test_any_variances_give_finite_ones_between_the_extremes(variances, runs):
    found = estimate_seed_variance(np.array(variances), np.full(len(variances), runs))
    assert np.isfinite(found.values).all()
    assert (found.values >= 0).all()
    assert (found.degrees >= runs - 1).all()
    assert min(variances) - 1e-12 <= found.values.min() <= found.values.max() <= max(variances) + 1e-12
    assert (found.degrees <= len(variances) * (runs - 1)).all()
