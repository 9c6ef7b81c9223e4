"""Answers are kept so that every figure comes out again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from tinybench.evaluation import metrics
from tinybench.evaluation.predictions import Predictions


def some(images: int, classes: int, scale: float, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, scale, (images, classes)).astype(np.float32)
    return Predictions.from_logits(np.arange(images), generator.integers(0, classes, images), logits)


@given(st.integers(1, 20), st.integers(2, 12), st.floats(0.01, 30), st.integers(0, 99))
def test_probabilities_are_those_of_the_logits(images: int, classes: int, scale: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, scale, (images, classes)) + 100
    kept = Predictions.from_logits(np.arange(images), np.zeros(images, int), logits)
    np.testing.assert_allclose(kept.probabilities(), softmax(logits, axis=1), atol=2e-3)
    # Half a unit in the last of float16's eleven digits, of what is kept: the distance from the largest
    off = np.abs(kept.logits.astype(np.float64) + kept.largest[:, None] - logits)
    assert (off <= np.abs(logits - logits.max(axis=1, keepdims=True)) * 2.0**-11 + 1e-4).all()
    np.testing.assert_allclose(kept.probabilities(2), softmax(logits / 2, axis=1), atol=2e-3)


def test_the_likeliest_class_stays_the_likeliest_however_near_the_next_one_is() -> None:
    logits = np.array([[1000.0, 1000.001], [5.0001, 5.0]])
    assert Predictions.from_logits([0, 1], [0, 0], logits).logits.argmax(axis=1).tolist() == [1, 0]


def test_they_are_the_same_after_a_file() -> None:
    kept, file = some(7, 3, 2), io.BytesIO()
    np.savez_compressed(file, **kept.arrays())
    file.seek(0)
    with np.load(file) as stored:
        again = Predictions.from_arrays(stored)
    assert metrics.classification_metrics(again.labels, again.probabilities()) == metrics.classification_metrics(
        kept.labels, kept.probabilities()
    )
    assert {name: array.dtype for name, array in again.arrays().items()} == {
        "rows": np.int64, "labels": np.int32, "logits": np.float16, "largest": np.float32,
    }  # fmt: skip


def test_certainty_is_kept() -> None:
    kept = Predictions.from_probabilities([0], [1], np.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(kept.probabilities(), [[0, 1, 0]])


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (np.zeros((0, 3)), "Expected a row of logits for each image"),
        (np.zeros((3, 3)), "Expected a row of logits for each image"),
        (np.array([[np.nan, 1], [1, 2]]), "NaN or infinity for 1 of 2 images"),
        (np.array([[np.inf, 1], [np.inf, 2]]), "NaN or infinity for 2 of 2 images"),
        (np.full((2, 2), -np.inf), "a probability of 0"),
    ],
)
def test_what_is_no_answer_is_refused(logits: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Predictions.from_logits([0, 1], [0, 1], logits)


def test_a_probability_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Predictions.from_probabilities([0], [0], np.array([[1.5, -0.5]]))
