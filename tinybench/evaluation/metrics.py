"""Compute the classification metrics of labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn import metrics

from tinybench.evaluation import calibration

Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]
Counts = NDArray[np.floating[Any]]

# The metrics that `metrics_from_counts` returns
COUNT_METRICS = (
    *("balanced_accuracy", "precision_macro", "precision_weighted", "recall_macro", "recall_weighted"),
    *("f1_macro", "f1_weighted", "cohen_kappa", "mcc"),
)


def classification_metrics(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Compute the metrics that every phase reports on the test images.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes), each row summing to one.

    Returns:
        As scikit-learn defines them `log_loss`, `accuracy`, `top5`, `balanced_accuracy`, precision, recall and F1
        (`_macro`, `_weighted`), `cohen_kappa`, `mcc` (Matthews) and `auc_ovr_macro`; and `ece`, `mce` and `brier`.
        Macro metrics are means over the classes that occur among labels or predictions; balanced accuracy and AUC over
        those that occur among labels (for AUC, not as the only one), and AUC is left out where there is none. `images`
        is the number of images, `classes` the number of classes among the labels.

    Raises:
        ValueError: Shapes do not match, there are no images, a label has no column, or probabilities are not finite
            or do not sum to one.
    """
    labels, probabilities = _validate(labels, probabilities)
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    by_class = per_class_metrics(labels, predicted, len(classes))
    bins = calibration.bin_by_confidence(labels, probabilities)
    values = {
        "images": len(labels),
        "classes": np.count_nonzero(by_class.support),
        "log_loss": log_loss_per_image(labels, probabilities).mean(),
        "accuracy": (predicted == labels).mean(),
        "top5": top_k_hits(labels, probabilities, 5).mean(),
        "balanced_accuracy": by_class.recall[by_class.support > 0].mean(),
        **by_class.averages(),
        **_chance_corrected_agreement(labels, predicted),
        "ece": bins.ece,
        "mce": bins.mce,
        "brier": calibration.brier_score(labels, probabilities),
    }
    areas = auc_by_class(labels, probabilities)
    if np.isfinite(areas).any():
        values["auc_ovr_macro"] = np.nanmean(areas)
    return {name: float(value) for name, value in values.items()}


@dataclass(frozen=True)
class ClassMetrics:
    """Metrics of each class, arrays (classes,).

    Attributes:
        precision: Fraction of the images predicted as the class that belong to it; 0 where none was.
        recall: Fraction of its images that are predicted as the class; 0 where it has no images.
        f1: Harmonic mean of precision and recall.
        support: Number of its images.
        predicted_count: Number of images predicted as the class.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    predicted_count: NDArray[np.int64]

    def averages(self) -> dict[str, float]:
        """Return the means over classes: unweighted (macro), and weighted by the number of images."""
        columns = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        present = (self.support > 0) | (self.predicted_count > 0)
        macro = {f"{name}_macro": float(values[present].mean()) for name, values in columns.items()}
        return macro | {
            f"{name}_weighted": float(np.average(values, weights=self.support)) for name, values in columns.items()
        }

    def recall_interval(self, level: float = 0.95) -> NDArray[np.float64]:
        """Return Wilson's interval of the recall (classes, 2), valid for few images; NaN for classes without images."""
        from statsmodels.stats.proportion import proportion_confint

        interval = np.full((len(self.support), 2), np.nan)
        present = self.support > 0
        hits = np.rint(self.recall[present] * self.support[present])
        interval[present] = np.column_stack(proportion_confint(hits, self.support[present], 1 - level, method="wilson"))
        return interval


def per_class_metrics(labels: Labels, predicted: Labels, classes: int) -> ClassMetrics:
    """Compute precision, recall, F1 and the number of images of each class."""
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), zero_division=0
    )
    return ClassMetrics(precision, recall, f1, support, np.bincount(predicted, minlength=classes))


def metrics_from_counts(hits: Counts, support: Counts, predicted: Counts) -> dict[str, NDArray[np.float64]]:
    """Compute the `COUNT_METRICS` of many samples at once, arrays (samples,), as `classification_metrics` does for one.

    Args:
        hits: (samples, classes) number of correctly classified images of each class.
        support: (samples, classes) number of images of each class.
        predicted: (samples, classes) number of images predicted as each class.
    """
    count = support.sum(axis=1)
    columns = {
        "precision": _divide_or_zero(hits, predicted),
        "recall": _divide_or_zero(hits, support),
        "f1": _divide_or_zero(2 * hits, support + predicted),
    }
    values = {"balanced_accuracy": columns["recall"].sum(axis=1) / (support > 0).sum(axis=1)}
    for name, column in columns.items():
        values[f"{name}_macro"] = column.sum(axis=1) / (support + predicted > 0).sum(axis=1)
        values[f"{name}_weighted"] = (column * support).sum(axis=1) / count
    agreement, by_chance = hits.sum(axis=1) / count, (support * predicted).sum(axis=1) / count**2
    values["cohen_kappa"] = _divide_or_zero(agreement - by_chance, 1 - by_chance)
    variance = (1 - np.square(support).sum(axis=1) / count**2) * (1 - np.square(predicted).sum(axis=1) / count**2)
    values["mcc"] = _divide_or_zero(agreement - by_chance, np.sqrt(variance))
    return values


def confusion_matrix(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Count the images of each true class (rows) that are predicted as each class (columns), (classes, classes)."""
    counts = np.bincount(np.asarray(labels, np.int64) * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def most_confused_pairs(counts: NDArray[np.int64], limit: int = 20) -> list[tuple[int, int, int]]:
    """Return the most frequent kinds of errors as (true class, predicted class, images), the most frequent first.

    Args:
        counts: The confusion matrix, (classes, classes).
        limit: Maximum number of pairs.
    """
    errors = counts.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    pairs = (divmod(int(index), len(counts)) for index in order)
    return [(true, predicted, int(errors[true, predicted])) for true, predicted in pairs if errors[true, predicted]]


def superclass_accuracy(labels: Labels, probabilities: Probabilities, superclasses: Sequence[str]) -> dict[str, float]:
    """Return, by superclass, the fraction of its images for which that superclass is the most probable one.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes); those of the classes of a superclass are added up.
        superclasses: The superclass of each class.
    """
    names = sorted(set(superclasses))
    group = np.array([names.index(name) for name in superclasses])
    summed = probabilities @ np.eye(len(names))[group]
    correct = summed.argmax(axis=1) == group[labels]
    return {
        name: float(correct[members].mean())
        for index, name in enumerate(names)
        if (members := group[labels] == index).any()
    }


def log_loss_per_image(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return minus the logarithm of the true class's probability, (n,), clipped at about 36 as in scikit-learn."""
    true = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)[:, 0].astype(np.float64)
    smallest = np.finfo(np.float64).eps
    return -np.log(np.clip(true, smallest, 1 - smallest))


def top_k_hits(labels: Labels, probabilities: Probabilities, k: int) -> NDArray[np.float64]:
    """Return 1 where the true class is among the k most probable, else 0, (n,).

    Where classes tie for the last ranks, it is the probability that the true class is among the k if ties are broken
    at random.
    """
    true = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)
    above, tied = (probabilities > true).sum(axis=1), (probabilities == true).sum(axis=1)
    return np.asarray(np.clip((k - above) / tied, 0, 1))


def auc_by_class(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the one-vs-rest area under the ROC curve of each class, (classes,).

    It is NaN for a class without positive or without negative images.
    """
    labels = np.asarray(labels)
    members = labels[:, None] == np.arange(probabilities.shape[1])
    positive = members.sum(axis=0)
    negative = len(labels) - positive
    above = (rankdata(probabilities, axis=0) * members).sum(axis=0) - positive * (positive + 1) / 2
    areas = np.full(len(positive), np.nan)
    np.divide(above, positive * negative, out=areas, where=(positive > 0) & (negative > 0))
    return areas


def _validate(labels: Labels, probabilities: Probabilities) -> tuple[Labels, NDArray[np.float64]]:
    """Return the labels, and the probabilities in float64, normalised so that rows sum exactly to one.

    Raises:
        ValueError: As `classification_metrics`.
    """
    labels, values = np.asarray(labels), np.asarray(probabilities, np.float64)
    if len(labels) == 0 or values.ndim != 2 or len(values) != len(labels):
        raise ValueError(
            f"Expected a row of probabilities per label, got {len(labels)} labels and probabilities {values.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError("Expected finite probabilities, got NaN or infinity.")
    if labels.min() < 0 or labels.max() >= values.shape[1]:
        raise ValueError(f"Expected labels from 0 to {values.shape[1] - 1}, got {labels.min()} to {labels.max()}.")
    total = values.sum(axis=1, keepdims=True)
    if (values < 0).any() or not np.allclose(total, 1, atol=1e-3):
        raise ValueError("Expected probabilities of at least 0 that sum to one.")
    return labels, values / total


def _chance_corrected_agreement(labels: Labels, predicted: Labels) -> dict[str, float]:
    """Compute Cohen's kappa and Matthews's coefficient; 0 where all labels and predictions are of one class."""
    if len(np.union1d(labels, predicted)) < 2:
        return {"cohen_kappa": 0.0, "mcc": 0.0}
    return {
        "cohen_kappa": float(metrics.cohen_kappa_score(labels, predicted)),
        "mcc": float(metrics.matthews_corrcoef(labels, predicted)),
    }


def _divide_or_zero(numerator: Counts, denominator: Counts) -> NDArray[np.float64]:
    """Divide element by element, with 0 where the denominator is not positive."""
    return np.asarray(np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator > 0))
