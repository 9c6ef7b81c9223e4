"""Balanced accuracy and log loss rank models as scikit-learn computes them, with errors of their own."""

from __future__ import annotations

import numpy as np
import pytest
from made_boards import MadeStore, build_board
from scipy.stats import binomtest
from sklearn import metrics

from tinybench.display.board_table import print_pairs
from tinybench.leaderboard.model_estimates import estimate_models
from tinybench.leaderboard.pairs import conclude_pairs
from tinybench.leaderboard.ranking_metrics import METRICS, find_weight_of_image, weigh_images
from tinybench.tracking import stored_predictions
from tinybench.tracking.tracker import Tracker

RARE = np.repeat([0, 1, 2], [900, 90, 10])


@pytest.fixture
def skewed(made: MadeStore) -> MadeStore:
    """A store whose test images are mostly of two classes."""
    made.labels = np.repeat([0, 1, 2], [300, 80, 20])
    return made


def test_the_metrics_are_those_of_scikit_learn(skewed: MadeStore):
    _, phase = skewed.add("a", 0, skewed.correct(50, shift=350))
    tracker = Tracker.at(skewed.uri)
    predictions = stored_predictions.read_predictions(tracker, tracker.get_run(phase), "test")
    assert predictions is not None
    probabilities = predictions.probabilities()
    expected = {
        "accuracy": 0.875,
        "balanced_accuracy": metrics.recall_score(
            skewed.labels, probabilities.argmax(axis=1), labels=[0, 1, 2], average="macro"
        ),
        "log_loss": metrics.log_loss(skewed.labels, probabilities, labels=range(10)),
    }
    assert expected["balanced_accuracy"] == pytest.approx((1 + 50 / 80 + 0) / 3)
    for name, value in expected.items():
        board = build_board(skewed, metric=name)
        assert (board.metric, board.rows[0].metric) == (name, name)
        assert board.rows[0].value == pytest.approx(value, rel=1e-4)


def test_balanced_accuracy_ranks_by_the_classes_and_not_by_their_images(skewed: MadeStore):
    for seed in range(3):
        skewed.add("few of the rare", seed, skewed.correct(20, shift=380))
        skewed.add("many of the frequent", seed, skewed.correct(60))
    assert [row.name for row in build_board(skewed).rows] == ["few of the rare", "many of the frequent"]
    board = build_board(skewed, metric="balanced_accuracy")
    assert [row.name for row in board.rows] == ["many of the frequent", "few of the rare"]


def test_a_lower_log_loss_is_better(made: MadeStore):
    from rich.console import Console

    for seed in range(3):
        made.add("good", seed, made.correct(20 + seed))
        made.add("bad", seed, made.correct(120 + seed))
    board = build_board(made, metric="log_loss")
    good, bad = board.rows
    assert (good.name, good.ranks, bad.ranks) == ("good", (1, 1), (2, 2))
    assert (good.may_be_best, bad.may_be_best) == (True, False)
    (pair,) = board.pairs
    assert (pair.first, pair.conclusion) == ("good", "better")
    assert pair.value == pytest.approx(bad.value - good.value)
    assert bad.high > 1
    terminal = Console(record=True, width=120)
    print_pairs(board, terminal)
    assert f"good minus bad     -{pair.value:.4f}  [-{pair.high:.4f}, -{pair.low:.4f}]" in terminal.export_text()


def test_weights_have_the_mean_one_and_ignore_classes_that_do_not_occur():
    weights = weigh_images(np.array([0, 0, 0, 7]))
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


def test_what_one_image_may_change_is_its_weight_or_the_largest_loss():
    scores = [np.array([[0.1, 0.2, 4.5]])]
    labels = np.array([0, 0, 1])
    assert find_weight_of_image("accuracy", labels, 10, scores) == 1
    assert find_weight_of_image("balanced_accuracy", labels, 10, scores) == pytest.approx(1.5)
    assert find_weight_of_image("log_loss", labels, 10, scores) == 4.5
    assert find_weight_of_image("log_loss", labels, 200, scores) == pytest.approx(np.log(200))


def test_equal_classes_give_the_errors_of_accuracy(made: MadeStore):
    for seed in range(3):
        made.add("a", seed, made.correct(20 + seed))
        made.add("b", seed, made.correct(40 + seed))
    plain, balanced = build_board(made), build_board(made, metric="balanced_accuracy")
    for row, other in zip(plain.rows, balanced.rows, strict=True):
        assert (row.value, row.low, row.high) == pytest.approx((other.value, other.low, other.high), abs=1e-3)


def test_the_variance_of_balanced_accuracy_is_that_of_draws_of_the_images():
    generator = np.random.default_rng(0)
    chance = np.array([0.95, 0.6, 0.3])
    frequencies = np.bincount(RARE) / len(RARE)
    values, estimated = [], []
    for _ in range(400):
        labels = generator.choice(3, len(RARE), p=frequencies)
        scores = ((generator.random(len(labels)) < chance[labels]) * weigh_images(labels))[None]
        estimates = estimate_models(["a"], [scores], classes=labels, weight_of_image=0)
        values.append(estimates.values[0])
        estimated.append(estimates.image_covariance[0, 0])
    assert np.sqrt(np.mean(estimated)) == pytest.approx(np.std(values), rel=0.1)


def test_a_model_without_an_error_has_the_interval_of_its_smallest_class(skewed: MadeStore):
    skewed.add("perfect", 0, skewed.correct(0))
    (row,) = build_board(skewed, metric="balanced_accuracy").rows
    expected = binomtest(60, 60).proportion_ci(method="exact")  # three classes with 20 images
    assert (row.value, row.low, row.high) == pytest.approx((1, expected.low, 1))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("images", "conclusion"), [(30, "unresolved"), (30_000, "equivalent")])
def test_few_images_that_are_all_right_do_not_show_that_models_are_equivalent(
    metric: str, images: int, conclusion: str
):
    labels = np.repeat([0, 1, 2], [8 * images // 10, images // 10, images // 10])
    scores = [np.full((3, images), 0.0001 if metric == "log_loss" else 1.0)] * 2
    weight = find_weight_of_image(metric, labels, 3, scores)
    classes = labels if METRICS[metric].by_class else None
    estimates = estimate_models(["a", "b"], scores, classes=classes, weight_of_image=weight)
    (pair,) = conclude_pairs(estimates, 0.01, lower_is_better=METRICS[metric].lower_is_better)
    assert pair.conclusion == conclusion


def test_a_class_with_one_image_leaves_doubt_and_no_error():
    labels = np.array([0] * 50 + [1])
    scores = [np.ones((3, 51)), np.ones((3, 51))]
    weight = find_weight_of_image("balanced_accuracy", labels, 2, scores)
    estimates = estimate_models(["a", "b"], scores, classes=labels, weight_of_image=weight)
    (pair,) = conclude_pairs(estimates, 0.01)
    assert pair.conclusion == "unresolved"
    assert pair.high > 0.5
