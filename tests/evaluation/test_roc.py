"""The macro-average ROC curve against scikit-learn, and at its borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from tinybench.evaluation import metrics, roc


def answers(images: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images).astype(np.int32)
    probabilities = generator.dirichlet(np.ones(classes), images).astype(np.float32)
    return labels, probabilities


def test_by_hand() -> None:
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    found = roc.macro_roc_curve(labels, probabilities, points=3)
    assert found.false_positive.tolist() == [0, 0, 0.5, 1]
    # Class 0 finds one image before the counter-example and one behind; class 1 its image between counter-examples
    assert found.true_positive_mean.tolist() == [0, (0.5 + 0) / 2, (0.5 + 1) / 2, 1]
    assert found.area == 0.5


def test_a_perfect_classifier_fills_the_square() -> None:
    found = roc.macro_roc_curve(np.arange(5), np.eye(5))
    assert found.area == 1
    for curve in (found.true_positive_mean, found.low, found.high):
        assert curve.tolist() == [0, *[1] * roc.POINTS]


@given(st.integers(2, 40), st.integers(2, 6), st.integers(0, 2**31))
def test_curves_rise_from_the_origin_to_one(images: int, classes: int, seed: int) -> None:
    labels, probabilities = answers(images, classes, seed)
    labels[:2] = 0, 1
    found = roc.macro_roc_curve(labels, probabilities, points=11)
    assert found.false_positive.tolist() == [0, *np.linspace(0, 1, 11)]
    for curve in (found.true_positive_mean, found.low, found.high):
        assert (curve[0], curve[-1]) == (0, pytest.approx(1))
        assert (np.diff(curve) >= -1e-12).all()
    assert (found.low <= found.high).all()
    assert found.area == pytest.approx(np.nanmean(metrics.auc_by_class(labels, probabilities)))


def test_the_area_under_the_mean_curve_is_the_mean_of_the_areas() -> None:
    labels, probabilities = answers(4000, 7)
    found = roc.macro_roc_curve(labels, probabilities, points=2001)
    assert reference.auc(found.false_positive, found.true_positive_mean) == pytest.approx(found.area, abs=1e-3)


def test_the_band_holds_the_middle_of_the_classes() -> None:
    labels, probabilities = answers(300, 12)
    found = roc.macro_roc_curve(labels, probabilities, points=5)
    heights = []
    for label in range(12):
        false_positive, true_positive, _ = reference.roc_curve(labels == label, probabilities[:, label])
        heights.append(np.interp(0.5, false_positive, true_positive))
    assert found.low[3] == pytest.approx(np.percentile(heights, 10))
    assert found.high[3] == pytest.approx(np.percentile(heights, 90))
    assert found.true_positive_mean[3] == pytest.approx(np.mean(heights))


def test_classes_without_images_are_left_out() -> None:
    labels, probabilities = answers(60, 3)
    wider = np.column_stack([probabilities, np.full(60, 0.5)])
    found, expected = roc.macro_roc_curve(labels, wider), roc.macro_roc_curve(labels, probabilities)
    np.testing.assert_array_equal(found.true_positive_mean, expected.true_positive_mean)
    assert found.area == expected.area


def test_one_class_alone_has_no_curve() -> None:
    with pytest.raises(ValueError, match="Expected a class with positive and negative images, got none"):
        roc.macro_roc_curve(np.zeros(4, np.int32), np.full((4, 2), 0.5))
