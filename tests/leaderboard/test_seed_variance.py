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


def test_variances_that_differ_by_chance_are_pooled():
    found = estimate_seed_variance(np.array([1.0, 1.1, 0.9, 1.0]), np.full(4, 5))
    assert np.isinf(found.prior_degrees)
    assert found.values == pytest.approx(np.ones(4))
    assert found.degrees.tolist() == [16] * 4


def test_a_variance_that_is_far_larger_stays_larger():
    variances = np.array([1e-4, 1e-4, 1.2e-4, 1e-4, 1.0])
    found = estimate_seed_variance(variances, np.full(5, 6))
    assert 0 < found.prior_degrees < 4
    assert found.values[-1] > 0.5
    assert found.values[0] < found.values[-1] / 3


def test_the_prior_is_found_again():
    """Of variances that are drawn from a known prior, the degrees of freedom are estimated within a fifth."""
    generator = np.random.default_rng(0)
    true = 2.0 * 8 / generator.chisquare(8, 20_000)
    observed = true * generator.chisquare(4, 20_000) / 4
    found = estimate_seed_variance(observed, np.full(20_000, 5))
    assert found.prior_degrees == pytest.approx(8, rel=0.2)
    assert found.prior == pytest.approx(2.0, rel=0.05)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=8), st.integers(2, 9))
def test_any_variances_give_finite_ones_between_the_extremes(variances, runs):
    found = estimate_seed_variance(np.array(variances), np.full(len(variances), runs))
    assert np.isfinite(found.values).all()
    assert (found.values >= 0).all()
    assert (found.degrees >= runs - 1).all()
    assert (found.degrees <= len(variances) * (runs - 1)).all()
