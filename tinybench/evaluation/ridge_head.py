"""Fit a linear classifier to features in closed form: ridge regression on one-hot labels.

All penalties share one eigendecomposition. With more images than features it is that of the Gram matrix of the
features, which is added up block by block, so that the memory does not grow with the number of images; with fewer
images it is that of the matrix of their inner products. The penalty is selected on validation images.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.special import softmax

from tinybench.core.errors import FeatureError
from tinybench.evaluation import calibration, metrics

PENALTIES: tuple[float, ...] = tuple(10 ** (half / 2) for half in range(-12, 7))
"""Penalties to select from, per training image: 1e-6 to 1e3, two for each power of ten."""

_SHARPNESS = 10.0  # scores are about 0 to 1: their softmax would be almost uniform
_CONSTANT = 1e-6  # a standard deviation below this share of the largest, or of the mean, is rounding

Matrix = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LabelledFeatures:
    """The features of labelled images, in blocks.

    Attributes:
        labels: (n,) classes.
        read_blocks: Returns the features of consecutive images as blocks (m, width), from the first image at each call.
    """

    labels: Labels
    read_blocks: Callable[[], Iterable[NDArray[np.floating[Any]]]]

    def __iter__(self) -> Iterator[tuple[Matrix, Labels]]:
        """Yield blocks (m, width) with their labels (m,).

        Raises:
            FeatureError: A feature is not finite.
        """
        start = 0
        for block in self.read_blocks():
            features = np.asarray(block, np.float64)
            if not np.isfinite(features).all():
                raise FeatureError(
                    "The backbone's features are not all finite numbers: its weights or its preprocessing are damaged."
                )
            yield features, self.labels[start : start + len(features)]
            start += len(features)


@dataclass(frozen=True)
class RidgeHead:
    """A linear classifier of features.

    Attributes:
        weights: (width, classes), for features as they are.
        bias: (classes,).
        penalty: The penalty that was selected, per training image; scikit-learn's `alpha` is this times the images.
        temperature: By which scores are divided, fitted on the validation images.
        validation_accuracy: Of the validation images, which selected the penalty.
    """

    weights: Matrix
    bias: Matrix
    penalty: float
    temperature: float
    validation_accuracy: float

    def logits(self, features: NDArray[np.floating[Any]]) -> Matrix:
        """Return logits (n, classes), whose softmax are probabilities."""
        scores: Matrix = np.asarray(features, np.float64) @ self.weights + self.bias
        return scores / self.temperature

    def predict(self, images: LabelledFeatures) -> Matrix:
        """Return the logits (n, classes) of images.

        Raises:
            FeatureError: A feature is not finite.
        """
        return np.concatenate([self.logits(features) for features, _ in images])


def fit_ridge_head(
    train: LabelledFeatures,
    validation: LabelledFeatures,
    classes: int,
    penalties: Iterable[float] = PENALTIES,
) -> RidgeHead:
    """Fit a head for each penalty to the training images, and return the one that is best on the validation images.

    The best has the highest accuracy; of several, the lowest log loss at a temperature of its own, then the largest
    penalty. Features are standardised by the training images.

    Args:
        train: The images to fit.
        validation: The images by which the penalty is selected.
        classes: Number of classes.
        penalties: Penalties per training image, all above 0.

    Raises:
        FeatureError: A feature is not finite, or no feature differs between images.
        ValueError: There are no images, or there are fewer than two classes.
    """
    if classes < 2:
        raise ValueError(f"Expected at least two classes, got {classes}.")
    solution = _decompose(train, classes)
    ordered = sorted(penalties, reverse=True)
    hits = np.zeros(len(ordered), np.int64)
    for features, labels in validation:
        rotated = solution.rotate(features)
        for index, penalty in enumerate(ordered):
            hits[index] += np.count_nonzero((rotated @ solution.shrink(penalty)).argmax(axis=1) == labels)
    tied = [penalty for penalty, count in zip(ordered, hits, strict=True) if count == hits.max()]
    heads = [_calibrate(*solution.head(penalty), penalty, validation) for penalty in tied]
    return min(heads, key=lambda item: item[1])[0]  # the first of equal ones has the largest penalty


@dataclass(frozen=True)
class _Solution:
    """The eigendecomposition by which heads of all penalties are computed.

    Attributes:
        mean, scale: (width,) by which features are standardised.
        axes: (width, rank) directions of the standardised features.
        eigenvalues: (rank,) of their Gram matrix.
        targets: (rank + 1, classes) the products of the directions with the centred one-hot labels, then the share of
            each class.
        images: Number of training images.
    """

    mean: Matrix
    scale: Matrix
    axes: Matrix
    eigenvalues: Matrix
    targets: Matrix
    images: int

    def rotate(self, features: Matrix) -> Matrix:
        """Return features in the directions of the decomposition, and a column of ones (n, rank + 1)."""
        rotated = ((features - self.mean) * self.scale) @ self.axes
        return np.column_stack([rotated, np.ones(len(features))])

    def shrink(self, penalty: float) -> Matrix:
        """Return the weights (rank + 1, classes) of rotated features."""
        factors = np.append(1 / (self.eigenvalues + penalty * self.images), 1.0)
        shrunk: Matrix = self.targets * factors[:, None]
        return shrunk

    def head(self, penalty: float) -> tuple[Matrix, Matrix]:
        """Return weights (width, classes) and bias (classes,) for features as they are."""
        shrunk = self.shrink(penalty)
        weights = self.scale[:, None] * (self.axes @ shrunk[:-1])
        return weights, shrunk[-1] - self.mean @ weights


def _decompose(train: LabelledFeatures, classes: int) -> _Solution:
    count = len(train.labels)
    if not count:
        raise ValueError("There are no images.")
    share = np.bincount(train.labels, minlength=classes) / count
    blocks = iter(train)
    first, labels = next(blocks)
    if count <= first.shape[1]:  # then all of them take no more memory than a Gram matrix
        features = np.concatenate([first, *(block for block, _ in blocks)])
        return _decompose_few(features, np.eye(classes)[train.labels] - share, share)
    # Moments around a point near the mean lose no digits
    origin = first.mean(axis=0)
    width = first.shape[1]
    gram, sums, by_class = np.zeros((width, width)), np.zeros(width), np.zeros((width, classes))
    for block, block_labels in itertools.chain([(first, labels)], blocks):
        shifted = block - origin
        gram += shifted.T @ shifted
        sums += shifted.sum(axis=0)
        by_class += shifted.T @ np.eye(classes)[block_labels]
    gram -= np.outer(sums, sums) / count
    mean = origin + sums / count
    scale = _inverse_deviation(np.sqrt(np.maximum(np.diag(gram), 0) / count), mean)
    products = (by_class - np.outer(sums, share)) * scale[:, None]
    eigenvalues, axes = linalg.eigh(gram * np.outer(scale, scale), overwrite_a=True, check_finite=False, driver="evd")
    targets = np.vstack([axes.T @ products, share])
    return _Solution(mean, scale, axes, np.maximum(eigenvalues, 0), targets, count)


def _decompose_few(features: Matrix, targets: Matrix, share: Matrix) -> _Solution:
    """Return the solution for no more images than features, from the inner products of the images."""
    count = len(features)
    mean = features.mean(axis=0)
    scale = _inverse_deviation(features.std(axis=0), mean)
    standardised = (features - mean) * scale
    eigenvalues, vectors = linalg.eigh(standardised @ standardised.T, check_finite=False, driver="evd")
    kept = eigenvalues > max(eigenvalues[-1], 0) * count * np.finfo(np.float64).eps
    eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
    lengths = np.sqrt(eigenvalues)
    axes = standardised.T @ (vectors / lengths)
    return _Solution(mean, scale, axes, eigenvalues, np.vstack([(vectors * lengths).T @ targets, share]), count)


def _inverse_deviation(deviation: Matrix, mean: Matrix) -> Matrix:
    """Return by what to multiply features; 0 for one that does not differ between images.

    Raises:
        FeatureError: No feature differs.
    """
    varies = deviation > _CONSTANT * np.maximum(deviation.max(), np.abs(mean))
    if not varies.any():
        raise FeatureError(
            "The backbone's features are the same for all images: its weights or its preprocessing are damaged."
        )
    return np.where(varies, 1 / np.where(varies, deviation, 1), 0.0)


def _calibrate(weights: Matrix, bias: Matrix, penalty: float, validation: LabelledFeatures) -> tuple[RidgeHead, float]:
    """Return a head with its temperature, and its log loss on the validation images."""
    scores = np.concatenate([features @ weights + bias for features, _ in validation])
    temperature = calibration.fit_temperature(validation.labels, scores * _SHARPNESS) / _SHARPNESS
    probabilities = softmax(scores / temperature, axis=1)
    loss = float(metrics.log_loss_per_image(validation.labels, probabilities).mean())
    accuracy = float(np.mean(scores.argmax(axis=1) == validation.labels))
    return RidgeHead(weights, bias, penalty, temperature, accuracy), loss
