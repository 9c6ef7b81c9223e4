"""Figures of a classifier on labelled images: NumPy in, numbers out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics


def scores(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> dict[str, float]:
    """The figures that every phase reports on the test images.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes), each row summing to one.

    Returns:
        `log_loss`, `accuracy`, `top5`, `f1_macro` and `auc_ovr_macro`, by scikit-learn's definitions; F1
        counts a class without images or predictions as 0. AUC is the mean over classes that have both
        images and counter-examples, and is left out when there is none.

    Raises:
        ValueError: shapes that do not agree, no images, or probabilities that are not numbers.
    """
    if len(labels) == 0 or probabilities.shape[0] != len(labels):
        raise ValueError(f"Expected one row a label, got {len(labels)} labels and {probabilities.shape} probabilities.")
    if not np.isfinite(probabilities).all():
        raise ValueError("Expected probabilities that are numbers, got NaN or infinity.")
    classes = np.arange(probabilities.shape[1])
    probabilities = probabilities.astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    found = {
        "log_loss": metrics.log_loss(labels, probabilities / probabilities.sum(axis=1, keepdims=True), labels=classes),
        "accuracy": metrics.accuracy_score(labels, predicted),
        "top5": top_k(labels, probabilities, 5),
        "f1_macro": metrics.f1_score(labels, predicted, labels=classes, average="macro", zero_division=0),
    }
    auc = auc_ovr_macro(labels, probabilities)
    return {name: float(value) for name, value in found.items()} | ({} if auc is None else {"auc_ovr_macro": auc})


def top_k(labels: NDArray[np.integer], probabilities: NDArray[np.floating], k: int) -> float:
    """Share of images whose true class is among the k most probable; ties count for the image."""
    own = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)
    return float(((probabilities > own).sum(axis=1) < k).mean())


def auc_ovr_macro(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float | None:
    """Mean one-against-rest area under the ROC curve over the classes for which it is defined."""
    areas = [
        metrics.roc_auc_score(labels == label, probabilities[:, label])
        for label in range(probabilities.shape[1])
        if 0 < np.count_nonzero(labels == label) < len(labels)
    ]
    return float(np.mean(areas)) if areas else None
