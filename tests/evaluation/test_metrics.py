"""Figures against scikit-learn, and at their borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from tinybench.evaluation import metrics


def answers(images: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), generator.integers(0, classes, images - classes)]).astype(np.int32)
    return labels, generator.dirichlet(np.ones(classes), images).astype(np.float32)


@pytest.mark.parametrize("classes", [3, 7, 12])
def test_figures_are_those_of_scikit_learn(classes: int) -> None:
    labels, probabilities = answers(100, classes, classes)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    every = np.arange(classes)
    expected = {
        "log_loss": reference.log_loss(labels, exact),
        "accuracy": reference.accuracy_score(labels, exact.argmax(axis=1)),
        "top5": reference.top_k_accuracy_score(labels, exact, k=5, labels=every) if classes > 5 else 1.0,
        "f1_macro": reference.f1_score(labels, exact.argmax(axis=1), average="macro"),
        "auc_ovr_macro": reference.roc_auc_score(labels, exact, multi_class="ovr", average="macro"),
    }
    found = metrics.scores(labels, probabilities)
    assert found == pytest.approx(expected, rel=1e-6)
    assert all(type(value) is float for value in found.values())


def test_by_hand() -> None:
    labels = np.array([0, 1, 1, 2])
    probabilities = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.25, 0.5, 0.25]])
    found = metrics.scores(labels, probabilities)
    assert found["accuracy"] == 0.5
    assert found["log_loss"] == pytest.approx((2 * np.log(2) + 2 * np.log(4)) / 4)
    assert found["f1_macro"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_perfect_answers() -> None:
    found = metrics.scores(np.arange(6), np.eye(6))
    assert found == pytest.approx(
        {"log_loss": 0, "accuracy": 1, "top5": 1, "f1_macro": 1, "auc_ovr_macro": 1}, abs=1e-12
    )


def test_a_class_without_images_is_left_out_of_auc() -> None:
    labels, probabilities = answers(50, 4)
    labels = np.where(labels == 3, 0, labels)
    areas = [reference.roc_auc_score(labels == label, probabilities[:, label]) for label in range(3)]
    found = metrics.scores(labels, probabilities)
    assert found["auc_ovr_macro"] == pytest.approx(np.mean(areas))
    predicted = probabilities.argmax(axis=1)
    per_class = reference.f1_score(labels, predicted, labels=range(4), average=None, zero_division=0)
    assert per_class[3] == 0
    assert found["f1_macro"] == pytest.approx(per_class.mean())


def test_one_class_alone_has_no_auc() -> None:
    probabilities = answers(5, 3)[1]
    found = metrics.scores(np.ones(5, np.int32), probabilities)
    assert set(found) == {"log_loss", "accuracy", "top5", "f1_macro"}
    assert found["log_loss"] == pytest.approx(-np.log(probabilities[:, 1].astype(float)).mean(), rel=1e-5)
    assert metrics.auc_ovr_macro(np.ones(5, np.int32), probabilities) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_a_number_is_refused(bad: float) -> None:
    labels, probabilities = answers(5, 3)
    probabilities[2, 1] = bad
    with pytest.raises(ValueError, match="Expected probabilities that are numbers, got NaN or infinity"):
        metrics.scores(labels, probabilities)


@pytest.mark.parametrize(("labels", "rows"), [(0, 0), (3, 2), (2, 3), (0, 2)])
def test_one_row_a_label(labels: int, rows: int) -> None:
    with pytest.raises(ValueError, match=rf"Expected one row a label, got {labels} labels and \({rows}, 3\)"):
        metrics.scores(np.zeros(labels, np.int32), np.full((rows, 3), 1 / 3))


@given(st.integers(1, 8), st.integers(2, 10), st.integers(0, 2**31))
def test_top_k_grows_with_k_up_to_one(images: int, classes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    probabilities = generator.integers(0, 4, (images, classes)) / 4  # with ties
    shares = [metrics.top_k(labels, probabilities, k) for k in range(classes + 2)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[classes] == shares[classes + 1] == 1


def test_ties_count_for_the_image() -> None:
    assert metrics.top_k(np.array([1]), np.array([[0.5, 0.5, 0.0]]), 1) == 1
