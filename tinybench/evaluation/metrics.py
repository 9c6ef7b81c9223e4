"""Figures of a classifier on labelled images: NumPy in, numbers out."""

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

# What `of_counts` gives
OF_COUNTS = (
    *("balanced_accuracy", "precision_macro", "precision_weighted", "recall_macro", "recall_weighted"),
    *("f1_macro", "f1_weighted", "cohen_kappa", "mcc"),
)


def scores(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """The figures that every phase reports on the test images.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes), each row summing to one.

    Returns:
        By scikit-learn's definitions `log_loss`, `accuracy`, `top5`, `balanced_accuracy`, precision, recall and F1
        (`_macro`, `_weighted`), `cohen_kappa`, `mcc` (Matthews) and `auc_ovr_macro`; and `ece`, `mce` and `brier`.
        Macro figures are means over the classes that have images or answers; balanced accuracy and AUC over those
        that have images (and, for AUC, counter-examples), and AUC is left out where there is none. `images` is how
        many there are, `classes` how many classes have any.

    Raises:
        ValueError: shapes that do not agree, no images, labels that no column stands for, or probabilities that are
            not numbers or do not sum to one.
    """
    labels, probabilities = _checked(labels, probabilities)
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    table = by_class(labels, predicted, len(classes))
    bins = calibration.bins(labels, probabilities)
    found = {
        "images": len(labels),
        "classes": np.count_nonzero(table.support),
        "log_loss": log_losses(labels, probabilities).mean(),
        "accuracy": (predicted == labels).mean(),
        "top5": in_top(labels, probabilities, 5).mean(),
        "balanced_accuracy": table.recall[table.support > 0].mean(),
        **table.averages(),
        **_beyond_chance(labels, predicted),
        "ece": bins.ece,
        "mce": bins.mce,
        "brier": calibration.brier(labels, probabilities),
    }
    areas = auc_by_class(labels, probabilities)
    if np.isfinite(areas).any():
        found["auc_ovr_macro"] = np.nanmean(areas)
    return {name: float(value) for name, value in found.items()}


@dataclass(frozen=True)
class ByClass:
    """Figures of each class, (classes,) each.

    Attributes:
        precision: Share of the images taken for the class that are of it; 0 where none was.
        recall: Share of its images that were found, which is the accuracy on them; 0 where it has none.
        f1: Harmonic mean of both.
        support: Its images.
        answers: Images taken for it.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    answers: NDArray[np.int64]

    def averages(self) -> dict[str, float]:
        """Means over classes: each alike (macro), or by its images (weighted)."""
        columns = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        known = (self.support > 0) | (self.answers > 0)
        macro = {f"{name}_macro": float(values[known].mean()) for name, values in columns.items()}
        return macro | {
            f"{name}_weighted": float(np.average(values, weights=self.support)) for name, values in columns.items()
        }

    def interval(self, level: float = 0.95) -> NDArray[np.float64]:
        """Of the recall, (classes, 2): Wilson's, which is right for few images; NaN where there are none."""
        from statsmodels.stats.proportion import proportion_confint

        found = np.full((len(self.support), 2), np.nan)
        there = self.support > 0
        hits = np.rint(self.recall[there] * self.support[there])
        found[there] = np.column_stack(proportion_confint(hits, self.support[there], 1 - level, method="wilson"))
        return found


def by_class(labels: Labels, predicted: Labels, classes: int) -> ByClass:
    """Precision, recall, F1 and images of each class."""
    every = np.arange(classes)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0
    )
    return ByClass(precision, recall, f1, support, np.bincount(predicted, minlength=classes))


def of_counts(
    hits: NDArray[np.floating[Any]], support: NDArray[np.floating[Any]], answers: NDArray[np.floating[Any]]
) -> dict[str, NDArray[np.float64]]:
    """The figures of classes of many samples at once, (samples,) each, as `scores` has them of one.

    Args:
        hits: (samples, classes) images of each class that were found.
        support: Its images.
        answers: Images taken for it.
    """
    there, known, count = support > 0, support + answers > 0, support.sum(axis=1)
    columns = {
        "precision": _over(hits, answers),
        "recall": _over(hits, support),
        "f1": _over(2 * hits, support + answers),
    }
    found = {"balanced_accuracy": columns["recall"].sum(axis=1) / there.sum(axis=1)}
    for name, values in columns.items():
        found[f"{name}_macro"] = values.sum(axis=1) / known.sum(axis=1)
        found[f"{name}_weighted"] = (values * support).sum(axis=1) / count
    agreed, by_chance = hits.sum(axis=1) / count, (support * answers).sum(axis=1) / count**2
    found["cohen_kappa"] = _over(agreed - by_chance, 1 - by_chance)
    apart = (1 - np.square(support).sum(axis=1) / count**2) * (1 - np.square(answers).sum(axis=1) / count**2)
    found["mcc"] = _over(agreed - by_chance, np.sqrt(apart))
    return found


def _over(part: NDArray[np.floating[Any]], whole: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """A share, 0 of nothing."""
    return np.asarray(np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0))


def confusion(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """How many images of each class (rows) were taken for each (columns), (classes, classes)."""
    counts = np.bincount(np.asarray(labels, np.int64) * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def most_confused(counts: NDArray[np.int64], most: int = 20) -> list[tuple[int, int, int]]:
    """Pairs of classes that are taken for each other most often, as (true, predicted, images), the worst first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (divmod(int(place), len(counts)) for place in order)
    return [(true, taken, int(wrong[true, taken])) for true, taken in pairs if wrong[true, taken]]


def of_superclasses(labels: Labels, probabilities: Probabilities, superclasses: Sequence[str]) -> dict[str, float]:
    """Share of the images of each superclass for which a class of that superclass is the likeliest.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes); those of a superclass are added up.
        superclasses: That of each class.
    """
    names = sorted(set(superclasses))
    group = np.array([names.index(name) for name in superclasses])
    summed = probabilities @ np.eye(len(names))[group]
    right = summed.argmax(axis=1) == group[labels]
    return {name: float(right[own].mean()) for place, name in enumerate(names) if (own := group[labels] == place).any()}


def log_losses(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Minus the logarithm of the true class's probability, (n,); at most some 36, as scikit-learn has it."""
    own = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)[:, 0].astype(np.float64)
    smallest = np.finfo(np.float64).eps
    return -np.log(np.clip(own, smallest, 1 - smallest))


def in_top(labels: Labels, probabilities: Probabilities, k: int) -> NDArray[np.float64]:
    """Whether the true class is among the k most probable, (n,): 0 or 1; of ties, as often as a draw would have it."""
    own = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)
    above, alike = (probabilities > own).sum(axis=1), (probabilities == own).sum(axis=1)
    return np.asarray(np.clip((k - above) / alike, 0, 1))


def auc_by_class(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64]:
    """Area under the ROC curve of each class against the rest, (classes,); NaN without images or counter-examples."""
    labels = np.asarray(labels)
    own = labels[:, None] == np.arange(probabilities.shape[1])
    positive = own.sum(axis=0)
    negative = len(labels) - positive
    above = (rankdata(probabilities, axis=0) * own).sum(axis=0) - positive * (positive + 1) / 2
    areas = np.full(len(positive), np.nan)
    np.divide(above, positive * negative, out=areas, where=(positive > 0) & (negative > 0))
    return areas


def _checked(labels: Labels, probabilities: Probabilities) -> tuple[Labels, NDArray[np.float64]]:
    """Probabilities in float64 that sum to one.

    Raises:
        ValueError: as `scores`.
    """
    labels, found = np.asarray(labels), np.asarray(probabilities, np.float64)
    if len(labels) == 0 or found.ndim != 2 or len(found) != len(labels):
        raise ValueError(f"Expected one row a label, got {len(labels)} labels and {found.shape} probabilities.")
    if not np.isfinite(found).all():
        raise ValueError("Expected probabilities that are numbers, got NaN or infinity.")
    if labels.min() < 0 or labels.max() >= found.shape[1]:
        raise ValueError(f"Expected labels from 0 to {found.shape[1] - 1}, got {labels.min()} to {labels.max()}.")
    total = found.sum(axis=1, keepdims=True)
    if (found < 0).any() or not np.allclose(total, 1, atol=1e-3):
        raise ValueError("Expected probabilities from 0 up that sum to one.")
    return labels, found / total


def _beyond_chance(labels: Labels, predicted: Labels) -> dict[str, float]:
    """Agreement beyond chance; where all is of one class, and taken for it, chance explains everything: 0."""
    if len(np.union1d(labels, predicted)) < 2:
        return {"cohen_kappa": 0.0, "mcc": 0.0}
    return {
        "cohen_kappa": float(metrics.cohen_kappa_score(labels, predicted)),
        "mcc": float(metrics.matthews_corrcoef(labels, predicted)),
    }
