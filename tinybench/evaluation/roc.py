"""Compute the macro-average ROC curve of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

POINTS = 101
_BAND = (10, 90)  # percentiles


@dataclass(frozen=True)
class MacroRocCurve:
    """One-vs-rest ROC curves of the classes, averaged at common false positive rates.

    Attributes:
        false_positive: (points,) false positive rates from 0 to 1.
        true_positive_mean: (points,) mean true positive rate over the classes.
        low: (points,) 10th percentile over the classes.
        high: (points,) 90th percentile over the classes.
        area: Mean of the areas under the curves of the classes.
    """

    false_positive: NDArray[np.float64]
    true_positive_mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    area: float


def macro_roc_curve(
    labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], points: int = POINTS
) -> MacroRocCurve:
    """Average the one-vs-rest ROC curves of scikit-learn over the classes that have positive and negative images.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes).
        points: Number of false positive rates from 0 to 1; the origin, where all curves begin, is added before them.

    Raises:
        ValueError: No class has both positive and negative images.
    """
    rates = np.linspace(0, 1, points)
    curves, areas = [], []
    for label in range(probabilities.shape[1]):
        positive = labels == label
        if 0 < np.count_nonzero(positive) < len(labels):
            false_positive, true_positive, _ = metrics.roc_curve(positive, probabilities[:, label])
            curves.append([0, *np.interp(rates, false_positive, true_positive)])
            areas.append(metrics.auc(false_positive, true_positive))
    if not curves:
        raise ValueError("Expected a class with positive and negative images, got none.")
    low, high = np.percentile(curves, _BAND, axis=0)
    return MacroRocCurve(np.array([0, *rates]), np.mean(curves, axis=0), low, high, float(np.mean(areas)))
