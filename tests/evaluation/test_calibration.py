"""Calibration against independent ways to compute it, and at its borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from tinybench.evaluation import calibration


def answers(images: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn by the probabilities: as often right as they say."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (images, classes))
    shares = softmax(logits, axis=1)
    labels = np.array([generator.choice(classes, p=row) for row in shares])
    return labels, logits


@pytest.mark.parametrize(("images", "bins"), [(1, 1), (9, 1), (24, 2), (149, 14), (150, 15), (4000, 15)])
def test_few_images_have_fewer_bins(images: int, bins: int) -> None:
    """Of a perfectly calibrated model, bins of one or two images would make an error of chance."""
    generator = np.random.default_rng(0)
    right = 0.5 + 0.5 * generator.random(images)
    labels = (generator.random(images) > right).astype(int)
    found = calibration.bin_by_confidence(labels, np.stack([right, 1 - right], axis=1))
    assert len(found.count) == bins
    assert found.count.min() >= min(images, 10)


def test_bins_are_of_equal_mass_and_the_error_is_the_mean_gap() -> None:
    labels, logits = answers(1000, 5)
    found = calibration.bin_by_confidence(labels, softmax(logits, axis=1))
    confidence = softmax(logits, axis=1).max(axis=1)
    right = logits.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(confidence, kind="stable"), calibration.BINS)
    assert abs(found.count - 1000 / 15).max() < 1
    gaps = [abs(right[part].mean() - confidence[part].mean()) for part in parts]
    assert found.ece == pytest.approx(np.average(gaps, weights=[len(part) for part in parts]), abs=2e-3)
    assert found.mce == pytest.approx(max(gaps), abs=0.02)
    assert found.count.sum() == 1000


@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 99), st.booleans())
def test_the_order_of_the_images_decides_nothing(images: int, classes: int, seed: int, rounded: bool) -> None:
    generator = np.random.default_rng(seed)
    shares = generator.dirichlet(np.ones(classes), images)
    if rounded:  # many images of one confidence
        shares = np.round(shares, 1)
    labels = generator.integers(0, classes, images)
    order = generator.permutation(images)
    found, again = (
        calibration.bin_by_confidence(labels, shares),
        calibration.bin_by_confidence(labels[order], shares[order]),
    )
    np.testing.assert_array_equal(found.count, again.count)
    assert found.ece == pytest.approx(again.ece)
    assert 0 <= found.ece <= found.mce + 1e-12 <= 1 + 1e-9
    assert found.count.min() > 0


def test_constant_confidence_is_one_bin() -> None:
    found = calibration.bin_by_confidence(np.array([0, 0, 0, 1]), np.tile([0.75, 0.25], (4, 1)))
    assert (found.count.tolist(), found.ece) == ([4], 0)


def test_brier_by_hand() -> None:
    assert calibration.brier_score(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx((0 + 2) / 2)
    labels, logits = answers(50, 4)
    shares = softmax(logits, axis=1)
    expected = ((shares - np.eye(4)[labels]) ** 2).sum(axis=1).mean()
    assert calibration.brier_score(labels, shares) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 20])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_what_logits_were_multiplied_by(classes: int, factor: float) -> None:
    labels, logits = answers(4000, classes)
    found = calibration.fit_temperature(labels, logits * factor)
    assert found == pytest.approx(factor, rel=0.12)

    def loss(logarithm: float) -> float:
        return -log_softmax(logits * factor / np.exp(logarithm), axis=1)[np.arange(4000), labels].mean()

    assert np.log(found) == pytest.approx(minimize_scalar(loss, bounds=(-3, 3)).x, abs=1e-3)


def test_it_calibrates() -> None:
    labels, logits = answers(4000, 10)
    too_sure = 3 * logits
    before = calibration.bin_by_confidence(labels, softmax(too_sure, axis=1)).ece
    after = calibration.bin_by_confidence(
        labels, softmax(too_sure / calibration.fit_temperature(labels, too_sure), axis=1)
    ).ece
    assert before > 0.15
    assert after < 0.03


def test_classes_without_images_do_not_shift_the_others() -> None:
    labels, logits = answers(3000, 3)
    padded = np.full((3000, 6), -50.0)
    padded[:, [1, 3, 5]] = logits
    assert calibration.fit_temperature(2 * labels + 1, padded) == pytest.approx(
        calibration.fit_temperature(labels, logits), rel=1e-3
    )


@pytest.mark.parametrize("labels", [[0, 1], [1, 0]])
def test_where_all_or_none_is_right_nothing_is_changed(labels: list[int]) -> None:
    assert calibration.fit_temperature(np.array(labels), np.array([[2.0, 0.0], [0.0, 2.0]])) == 1.0


def test_few_images_of_many_classes_are_no_reason_to_warn(recwarn) -> None:
    labels, logits = answers(60, 50)
    assert 0.1 < calibration.fit_temperature(labels, logits) < 10
    assert not recwarn.list
