"""What is concluded of pairs, and how many seeds would settle them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench.leaderboard.model_estimates import ModelEstimates, estimate_models, from_runs
from tinybench.leaderboard.pairs import conclude_pairs
from tinybench.leaderboard.rank_intervals import find_possibly_best, find_rank_intervals


def board(*values: float, runs: int = 5, seeds: float = 0.005, images: float = 0.002) -> ModelEstimates:
    spread = seeds * np.linspace(-1, 1, runs) / np.linspace(-1, 1, runs).std(ddof=1) if runs > 1 else np.zeros(1)
    names = [f"m{number}" for number in range(len(values))]
    return from_runs(names, [value + spread for value in values], images**2 * np.eye(len(values)))


def conclusions(estimates: ModelEstimates, margin: float = 0.01) -> dict[str, str]:
    return {f"{pair.first}>{pair.second}": pair.conclusion for pair in conclude_pairs(estimates, margin)}


def test_the_three_conclusions():
    assert conclusions(board(0.9, 0.6)) == {"m0>m1": "better"}
    assert conclusions(board(0.9, 0.91)) == {"m1>m0": "unresolved"}
    assert conclusions(board(0.9, 0.901, seeds=1e-4, images=1e-4)) == {"m1>m0": "equivalent"}


def test_a_difference_that_is_real_but_smaller_than_the_margin_is_equivalent():
    (pair,) = conclude_pairs(board(0.9, 0.903, seeds=1e-5, images=1e-5), 0.01)
    assert pair.low > 0
    assert pair.conclusion == "equivalent"


def test_lower_may_be_better():
    (pair,) = conclude_pairs(board(0.9, 0.3), 0.01, lower_is_better=True)
    assert (pair.first, pair.conclusion, pair.value) == ("m1", "better", pytest.approx(0.6))


def test_more_seeds_settle_a_pair_that_seeds_keep_apart():
    (pair,) = conclude_pairs(board(0.9, 0.91, seeds=0.01, images=1e-4), 0.005)
    assert pair.conclusion == "unresolved"
    assert pair.seeds_needed is not None
    assert 10 < pair.seeds_needed < 60
    settled = board(0.9, 0.91, runs=pair.seeds_needed, seeds=0.01, images=1e-4)
    assert conclusions(settled, 0.005) == {"m1>m0": "better"}


def test_two_seeds_of_two_models_say_little_but_more_are_expected_to():
    """More seeds also tell the variance over seeds better, of which two say next to nothing."""

    def estimates(*spread: float) -> ModelEstimates:
        values = [0.797 + 0.02 * np.array(spread), 0.7 + 0.0001 * np.array(spread)]
        return from_runs(["a", "b"], values, 0.004**2 * np.eye(2))

    (pair,) = conclude_pairs(estimates(-1, 1), 0.01, largest=1.0)
    assert (pair.conclusion, pair.low, pair.high) == ("unresolved", -1.0, 1.0)
    assert pair.seeds_needed is not None
    assert 3 <= pair.seeds_needed <= 8
    assert conclusions(estimates(*[-1, 1] * 4)) == {"a>b": "better"}


def test_more_seeds_do_not_settle_what_the_images_keep_apart():
    (pair,) = conclude_pairs(board(0.9, 0.905, images=0.01), 0.01)
    assert (pair.conclusion, pair.seeds_needed) == ("unresolved", None)


def test_single_runs_are_judged_by_their_images_alone():
    assert conclusions(board(0.9, 0.8, runs=1)) == {"m0>m1": "better"}


def test_rank_intervals_follow_the_differences():
    estimates = board(0.5, 0.9, 0.899, 0.7, seeds=0.002, images=0.001)
    ranks = find_rank_intervals(estimates.names, conclude_pairs(estimates, 0.01))
    assert ranks == {"m0": (4, 4), "m1": (1, 2), "m2": (1, 2), "m3": (3, 3)}
    assert find_possibly_best(ranks) == ["m1", "m2"]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.integers(1, 4))
def test_for_any_board_every_rank_is_possible_for_someone(values, runs):
    estimates = board(*values, runs=runs)
    found = conclude_pairs(estimates, 0.01)
    assert len(found) == len(values) * (len(values) - 1) // 2
    assert all(pair.value >= 0 and pair.low <= pair.value <= pair.high for pair in found)
    ranks = find_rank_intervals(estimates.names, found)
    for rank in range(1, len(values) + 1):
        assert any(low <= rank <= high for low, high in ranks.values())
    best = max(range(len(values)), key=lambda index: estimates.values[index])
    assert estimates.names[best] in find_possibly_best(ranks)


def test_images_that_decide_alike_do_not_count_as_noise():
    """Two models that err on the same images but for ten differ for sure, whatever their accuracy."""
    first = np.ones((1, 1000))
    first[0, :300] = 0
    second = first.copy()
    second[0, 300:340] = 0
    estimates = estimate_models(["a", "b"], [first, second])
    (pair,) = conclude_pairs(estimates, 0.01)
    assert (pair.first, pair.conclusion, pair.value) == ("a", "better", pytest.approx(0.04))


def test_scores_of_other_images_are_refused():
    with pytest.raises(ValueError, match="on the same images"):
        estimate_models(["a", "b"], [np.ones((2, 10)), np.ones((2, 9))])


def test_what_seeds_change_of_single_images_is_counted_once():
    """The variance of a mean of independent answers is that of one answer over their number, however it is split."""
    scores = (np.random.default_rng(0).random((10, 5000)) < 0.7).astype(float)
    estimates = estimate_models(["a"], [scores])
    assert abs(estimates.image_covariance[0, 0]) < 0.21 / 5000 / 10


@pytest.mark.parametrize(("images", "conclusion"), [(20, "unresolved"), (100, "unresolved"), (2000, "equivalent")])
def test_few_images_without_an_error_do_not_show_that_models_are_equivalent(images, conclusion):
    (pair,) = conclude_pairs(estimate_models(["a", "b"], [np.ones((3, images))] * 2), 0.01)
    assert pair.conclusion == conclusion
