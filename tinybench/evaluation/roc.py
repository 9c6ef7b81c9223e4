"""The macro-average ROC curve of a classifier: NumPy in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

POINTS = 101
_BAND = (10, 90)  # percentiles


@dataclass(frozen=True)
class MacroRoc:
    """Curves of each class against the rest, averaged at shared false positive rates.

    Attributes:
        false_positive: (p,) rates from 0 to 1.
        true_positive_mean: (p,) mean over the classes.
        low: (p,) 10th percentile of the classes.
        high: (p,) 90th percentile of the classes.
        area: Mean of the areas under the classes' own curves.
    """

    false_positive: NDArray[np.float64]
    true_positive_mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    area: float


def macro(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], points: int = POINTS) -> MacroRoc:
    """One-against-rest curves by scikit-learn, interpolated; classes without images or counter-examples are left out.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes).
        points: False positive rates from 0 to 1; the origin, where all curves begin, is one more.

    Raises:
        ValueError: no class has both images and counter-examples.
    """
    rates = np.linspace(0, 1, points)
    curves, areas = [], []
    for label in range(probabilities.shape[1]):
        own = labels == label
        if 0 < np.count_nonzero(own) < len(labels):
            false_positive, true_positive, _ = metrics.roc_curve(own, probabilities[:, label])
            curves.append([0, *np.interp(rates, false_positive, true_positive)])
            areas.append(metrics.auc(false_positive, true_positive))
    if not curves:
        raise ValueError("Expected a class with images and counter-examples, got none.")
    low, high = np.percentile(curves, _BAND, axis=0)
    return MacroRoc(np.array([0, *rates]), np.mean(curves, axis=0), low, high, float(np.mean(areas)))
