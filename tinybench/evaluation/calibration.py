"""Measure how well predicted probabilities match observed accuracy, and correct them by temperature scaling."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
_MAX_TEMPERATURE = 100.0  # above, probabilities are those of a guess: the search has run towards infinity
_MIN_IMAGES = 10  # per bin: the accuracy of fewer images varies so much by chance that it would dominate the error

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class CalibrationBins:
    """Images grouped by confidence into bins of about equal size, from the least confident to the most.

    Attributes:
        confidence: (bins,) mean of the largest probability.
        accuracy: (bins,) fraction of correct predictions.
        count: (bins,) number of images.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Return the expected calibration error: the mean gap over images. Source: Guo et al., 2017."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))

    @property
    def mce(self) -> float:
        """Return the maximum calibration error: the largest gap of any bin."""
        return float(np.abs(self.accuracy - self.confidence).max())

    def accuracy_interval(self, level: float = 0.95) -> NDArray[np.float64]:
        """Return Wilson's interval of the accuracy of each bin (bins, 2)."""
        from statsmodels.stats.proportion import proportion_confint

        hits = np.rint(self.accuracy * self.count)
        return np.column_stack(proportion_confint(hits, self.count, 1 - level, method="wilson"))


def bin_by_confidence(labels: Labels, probabilities: Probabilities, count: int = BINS) -> CalibrationBins:
    """Group images by confidence into bins of about equal size; images of equal confidence share a bin.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes).
        count: Maximum number of bins; there are fewer where a bin would hold less than ten images.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    confidence, correct = confidence[order], correct[order]
    count = min(count, max(len(confidence) // _MIN_IMAGES, 1))
    edges = np.round(np.linspace(0, len(confidence), count + 1)).astype(int)
    # Move an edge among equal confidences to the first of them: otherwise the result depends on the order of images
    starts = np.unique(np.searchsorted(confidence, confidence[edges[:-1]], side="left"))
    sizes = np.diff([*starts, len(confidence)])
    return CalibrationBins(
        np.add.reduceat(confidence, starts) / sizes, np.add.reduceat(correct.astype(np.float64), starts) / sizes, sizes
    )


def brier_score(labels: Labels, probabilities: Probabilities) -> float:
    """Return the mean squared distance of the probabilities from the one-hot label, 0 to 2. Source: Brier, 1950."""
    true = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)[:, 0].astype(np.float64)
    squares = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    return float((squares - 2 * true + 1).mean())


def fit_temperature(labels: Labels, logits: NDArray[np.floating[Any]]) -> float:
    """Return the temperature that maximises the likelihood of the labels, by scikit-learn.

    Args:
        labels: (n,) true classes of images that the model was not trained on.
        logits: (n, classes).

    Returns:
        The number to divide logits by, above 1 where the model is overconfident. 1 where it is not determined: with
        all images classified correctly any lower temperature fits better; with none, or if the logits say nothing
        about the labels, any higher one.
    """
    correct = logits.argmax(axis=1) == labels
    if correct.all() or not correct.any():
        return 1.0
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    scores = np.asarray(logits, np.float64)
    if scores.shape[1] == 2:  # scikit-learn takes one score x for two classes and expands it to (-x, x)
        scores = (scores[:, 1] - scores[:, 0])[:, None] / 2
    rows = np.arange(len(scores))
    classifier = CalibratedClassifierCV(
        FrozenEstimator(_identity_classifier(logits.shape[1])), method="temperature", cv=[(rows, rows)], ensemble=True
    )
    with warnings.catch_warnings():  # few images of many classes look like a regression to scikit-learn
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        classifier.fit(scores, labels)
    temperature = float(1 / classifier.calibrated_classifiers_[0].calibrators[0].beta_)
    return temperature if 1 / _MAX_TEMPERATURE < temperature < _MAX_TEMPERATURE else 1.0


def _identity_classifier(classes: int) -> Any:
    """Return a scikit-learn classifier whose decision function returns its input."""
    from sklearn.base import BaseEstimator, ClassifierMixin

    class IdentityClassifier(ClassifierMixin, BaseEstimator):
        classes_ = np.arange(classes)

        def fit(self, features: Any, labels: Any) -> Any:
            return self

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def decision_function(self, features: Any) -> Any:
            return features[:, 0] if classes == 2 else features

        def predict(self, features: Any) -> Any:
            return features.argmax(axis=1)

    return IdentityClassifier()
