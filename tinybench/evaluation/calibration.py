"""Whether a model is right as often as it says: NumPy in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
_FEWEST = 10  # images a bin: of fewer the share of right answers says little, and the error would be that of chance

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Bins:
    """Images in bins of equal mass, from the least confident to the most.

    Attributes:
        confidence: (b,) mean of the largest probability.
        accuracy: (b,) share of right answers.
        count: (b,) images.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean gap over images. Source: Guo et al., 2017."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))

    @property
    def mce(self) -> float:
        """Maximum calibration error: the largest gap of a bin."""
        return float(np.abs(self.accuracy - self.confidence).max())


def bins(labels: Labels, probabilities: Probabilities, count: int = BINS) -> Bins:
    """Parts of the images that are as large as can be alike; images of one confidence stay together.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes).
        count: How many bins at most; fewer where they would hold less than ten images each.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    confidence, right = confidence[order], right[order]
    count = min(count, max(len(confidence) // _FEWEST, 1))
    edges = np.round(np.linspace(0, len(confidence), count + 1)).astype(int)
    # An edge within equal confidences moves to their first: else the order of the images would decide
    starts = np.unique(np.searchsorted(confidence, confidence[edges[:-1]], side="left"))
    sizes = np.diff([*starts, len(confidence)])
    return Bins(
        np.add.reduceat(confidence, starts) / sizes, np.add.reduceat(right.astype(np.float64), starts) / sizes, sizes
    )


def brier(labels: Labels, probabilities: Probabilities) -> float:
    """Mean squared distance of the probabilities from the truth, over all classes: 0 to 2. Source: Brier, 1950."""
    own = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)[:, 0].astype(np.float64)
    squares = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    return float((squares - 2 * own + 1).mean())


def temperature(labels: Labels, logits: NDArray[np.floating[Any]]) -> float:
    """The temperature that makes the logits likeliest, by scikit-learn.

    Args:
        labels: (n,) true classes, of images that were not trained on.
        logits: (n, classes).

    Returns:
        What logits are divided by; above 1 where the model is too sure. 1 where the images cannot tell: where all
        are answered rightly, any lower temperature would seem better, and where none is, any higher one.
    """
    right = logits.argmax(axis=1) == labels
    if right.all() or not right.any():
        return 1.0
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    given = np.asarray(logits, np.float64)
    if given.shape[1] == 2:  # scikit-learn spreads one number to (-x, x)
        given = (given[:, 1] - given[:, 0])[:, None] / 2
    places = np.arange(len(given))
    fitted = CalibratedClassifierCV(
        FrozenEstimator(_as_they_are(logits.shape[1])), method="temperature", cv=[(places, places)], ensemble=True
    ).fit(given, labels)
    return float(1 / fitted.calibrated_classifiers_[0].calibrators[0].beta_)


def _as_they_are(classes: int) -> Any:
    """A classifier, in scikit-learn's sense, whose scores are what it is given."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(classes)

        def fit(self, features: Any, labels: Any) -> Any:
            return self

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def decision_function(self, features: Any) -> Any:
            return features[:, 0] if classes == 2 else features

        def predict(self, features: Any) -> Any:
            return features.argmax(axis=1)

    return Given()
