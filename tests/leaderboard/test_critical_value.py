"""Critical values are those of Student, Dunnett and Tukey where these are exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tinybench.leaderboard import critical_value
from tinybench.leaderboard.critical_value import find_critical_values, from_score, to_scores
from tinybench.leaderboard.model_estimates import from_runs


def board(models: int, *, runs: int = 1, seeds: float = 0.0, images: float = 1e-3):
    """Return a board of equal models with independent images."""
    spread = np.linspace(-1, 1, runs) if runs > 1 else np.zeros(1)
    values = [0.5 + seeds * spread for _ in range(models)]
    return from_runs([f"m{number}" for number in range(models)], values, images**2 * np.eye(models))


def test_a_single_pair_of_single_runs_has_the_normal_values():
    found = find_critical_values(board(2))
    assert found.difference == pytest.approx(1.96, abs=0.08)
    assert found.equivalence == pytest.approx(1.645, abs=0.08)


@pytest.mark.parametrize("models", [3, 8])
def test_all_pairs_of_single_runs_have_tukey_s_value(models):
    expected = stats.studentized_range.ppf(0.95, models, np.inf) / np.sqrt(2)
    found = find_critical_values(board(models))
    assert found.difference == pytest.approx(expected, abs=0.08)
    assert found.equivalence == found.difference


def test_looks_raise_the_value_of_a_difference_but_not_of_an_equivalence():
    many = find_critical_values(board(2, runs=5, seeds=0.01, images=1e-4))
    assert 2.4 < many.difference < 3.0  # Pocock's value for ten equal looks is 2.56
    assert many.equivalence == pytest.approx(1.645, abs=0.1)


def test_looks_cost_little_where_the_images_decide():
    few = find_critical_values(board(2, runs=5, seeds=1e-4, images=0.01))
    assert few.difference < 2.2


def test_one_model_has_no_pair():
    assert find_critical_values(board(1)).difference == np.inf


@given(st.floats(-30, 30), st.floats(1, 1000))
def test_scores_and_student_s_t_are_each_other_s_inverse(t, degrees):
    score = to_scores(np.array([t]), np.array([degrees]))
    assert from_score(abs(float(score[0])), np.array([degrees]))[0] == pytest.approx(abs(t), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("degrees", [3, 4, 8, 30])
@pytest.mark.parametrize("tail", [0.05, 0.025, 0.001, 1e-5])
def test_scores_have_the_tail_probabilities_of_student_s_t(degrees, tail):
    score = to_scores(np.array([stats.t.isf(tail, degrees)]), np.array([float(degrees)]))
    assert float(score[0]) == pytest.approx(stats.norm.isf(tail), rel=0.04)


def test_infinite_degrees_are_the_normal_distribution():
    assert to_scores(np.array([2.0]), np.array([np.inf])).tolist() == [2.0]
    assert from_score(2.0, np.array([np.inf])).tolist() == [2.0]


def test_degrees_of_freedom_are_welch_s():
    a, b = np.array([0.3, 0.5, 0.4, 0.45]), np.array([0.2, 0.9, 0.1, 0.5, 0.3])
    errors, degrees = critical_value.standard_errors(
        np.zeros(1),
        np.array([a.var(ddof=1) / 4]),
        np.array([b.var(ddof=1) / 5]),
        np.array([3.0]),
        np.array([4.0]),
    )
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert degrees[0] == pytest.approx(expected.df)
    assert (a.mean() - b.mean()) / errors[0] == pytest.approx(expected.statistic)
