"""The head in closed form, against scikit-learn's and against answers that are known."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import StandardScaler

from tinybench.core.errors import FeatureError
from tinybench.evaluation import ridge_head
from tinybench.evaluation.ridge_head import LabelledFeatures, RidgeHead

DIGITS = load_digits()


def in_blocks(features: np.ndarray, labels: np.ndarray, size: int = 100) -> LabelledFeatures:
    blocks = [features[start : start + size] for start in range(0, len(features), size)]
    return LabelledFeatures(labels, partial(list, blocks))


def digits(start: int, stop: int) -> LabelledFeatures:
    return in_blocks(DIGITS.data[start:stop].astype(np.float32), DIGITS.target[start:stop])


def scores(head: RidgeHead, features: np.ndarray) -> np.ndarray:
    return head.logits(features) * head.temperature


@pytest.mark.parametrize("images", [1000, 40], ids=["more images than features", "fewer images than features"])
@pytest.mark.parametrize("penalty", [1e-4, 0.1, 100.0])
def test_scores_are_those_of_scikit_learn(images: int, penalty: float) -> None:
    head = ridge_head.fit_ridge_head(digits(0, images), digits(1000, 1300), 10, [penalty])
    scaler = StandardScaler().fit(DIGITS.data[:images])
    one_hot = np.eye(10)[DIGITS.target[:images]]
    theirs = Ridge(alpha=penalty * images).fit(scaler.transform(DIGITS.data[:images]), one_hot)
    np.testing.assert_allclose(
        scores(head, DIGITS.data[1300:]), theirs.predict(scaler.transform(DIGITS.data[1300:])), atol=1e-8
    )


def test_the_penalty_is_the_most_accurate_on_the_validation_images() -> None:
    accuracies = {}
    scaler = StandardScaler().fit(DIGITS.data[:60])
    for penalty in ridge_head.PENALTIES:
        # RidgeClassifier's targets are -1 and 1: its penalty has the same effect, its scores are not centred on shares
        theirs = RidgeClassifier(alpha=penalty * 60).fit(scaler.transform(DIGITS.data[:60]), DIGITS.target[:60])
        accuracies[penalty] = theirs.score(scaler.transform(DIGITS.data[1000:1300]), DIGITS.target[1000:1300])
    head = ridge_head.fit_ridge_head(digits(0, 60), digits(1000, 1300), 10)
    assert head.validation_accuracy == max(accuracies.values()) > accuracies[ridge_head.PENALTIES[0]]
    assert accuracies[head.penalty] == max(accuracies.values())


def test_of_equally_accurate_penalties_the_lowest_log_loss_counts_and_then_the_largest_penalty() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    features = rng.normal(size=(200, 3))
    features[:, 0] = labels * 10 - 5 + features[:, 0] * 0.1  # every penalty separates them
    images = in_blocks(features, labels)
    losses = {}
    for penalty in (1e-6, 1e-2, 1e2):
        head = ridge_head.fit_ridge_head(images, images, 2, [penalty])
        exponents = np.exp(head.logits(features))
        losses[penalty] = -np.log(exponents[np.arange(200), labels] / exponents.sum(axis=1)).mean()
        assert head.validation_accuracy == 1
    chosen = ridge_head.fit_ridge_head(images, images, 2, losses)
    assert chosen.penalty == min(sorted(losses, reverse=True), key=losses.__getitem__)

    useless = in_blocks(np.tile([[0.0], [1.0]], (4, 1)), np.array([0, 0, 1, 1] * 2))  # scores are the shares
    assert ridge_head.fit_ridge_head(useless, useless, 2, [1e-3, 10.0, 1.0]).penalty == 10.0


def test_blocks_make_no_difference() -> None:
    whole = ridge_head.fit_ridge_head(in_blocks(DIGITS.data[:1000], DIGITS.target[:1000], 1000), digits(1000, 1300), 10)
    parts = ridge_head.fit_ridge_head(in_blocks(DIGITS.data[:1000], DIGITS.target[:1000], 7), digits(1000, 1300), 10)
    assert parts.penalty == whole.penalty
    np.testing.assert_allclose(parts.weights, whole.weights, atol=1e-9)


def test_a_large_offset_costs_no_digits() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(2000, 20)), rng.integers(3, size=2000)
    features[:, :3] += np.eye(3)[labels]
    near, far = (
        ridge_head.fit_ridge_head(in_blocks(moved[:1500], labels[:1500]), in_blocks(moved, labels), 3, [1e-3])
        for moved in (features, features + 1e5)
    )
    np.testing.assert_allclose(scores(far, features + 1e5), scores(near, features), atol=1e-9)


@pytest.mark.parametrize("images", [1000, 40])
def test_a_feature_that_never_changes_has_no_weight(images: int) -> None:
    constant = DIGITS.data[:images].std(axis=0) == 0
    head = ridge_head.fit_ridge_head(digits(0, images), digits(1000, 1300), 10)
    assert constant.any()
    assert not head.weights[constant].any()
    assert np.isfinite(head.weights).all()


def test_classes_without_images_and_repeated_images_are_no_error() -> None:
    train = in_blocks(np.repeat(DIGITS.data[:6], 5, axis=0), np.repeat([0, 0, 1, 1, 3, 3], 5))
    head = ridge_head.fit_ridge_head(train, train, 5)
    assert head.validation_accuracy == 1
    assert head.predict(train).shape == (30, 5)


def test_logits_are_calibrated_on_the_validation_images() -> None:
    head = ridge_head.fit_ridge_head(digits(0, 1000), digits(1000, 1300), 10)
    logits = head.predict(digits(1000, 1300))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    confidence = probabilities.max(axis=1).mean()
    assert abs(confidence - head.validation_accuracy) < 0.05
    assert np.mean(logits.argmax(axis=1) == DIGITS.target[1000:1300]) == head.validation_accuracy


@pytest.mark.parametrize("images", [1000, 40])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_an_error(images: int, value: float) -> None:
    features = DIGITS.data[:images].copy()
    features[images // 2, 3] = value
    with pytest.raises(FeatureError, match="not all finite"):
        ridge_head.fit_ridge_head(in_blocks(features, DIGITS.target[:images]), digits(1000, 1300), 10)
    with pytest.raises(FeatureError, match="not all finite"):
        ridge_head.fit_ridge_head(digits(1000, 1300), in_blocks(features, DIGITS.target[:images]), 10)


@pytest.mark.parametrize("images", [100, 3])
def test_features_without_differences_are_an_error(images: int) -> None:
    same = in_blocks(np.full((images, 5), 0.1, np.float32), np.arange(images) % 2)
    with pytest.raises(FeatureError, match="same for all images"):
        ridge_head.fit_ridge_head(same, same, 2)


def test_one_class_or_no_image_is_an_error() -> None:
    with pytest.raises(ValueError, match="two classes"):
        ridge_head.fit_ridge_head(digits(0, 10), digits(10, 20), 1)
    with pytest.raises(ValueError, match="no images"):
        ridge_head.fit_ridge_head(digits(0, 0), digits(10, 20), 10)
