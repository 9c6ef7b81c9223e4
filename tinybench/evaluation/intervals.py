"""How sure a figure is: bootstrap over the test images, all resamples at once.

A resample is how often each image was drawn. Figures that are means over images are then products with that
matrix; those of classes (F1, kappa and so on) come from weighted counts; AUC from its first-order expansion (DeLong's
structural components), which is the AUC of the images plus, for each draw, what the image contributes. ECE and MCE have
no interval: to draw images anew adds noise to every bin, which can only raise them, so it would lie above the figure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.stats import rankdata

from tinybench.evaluation import metrics

RESAMPLES = 2_000
LEVEL = 0.95
LOSSES = ("log_loss", "brier")  # the lower the better

_SHARES = ("accuracy", "top5", "recall_weighted")  # of images

_BLOCK = 250  # resamples at once: bounds the memory
Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]


def intervals(
    labels: Labels, probabilities: Probabilities, seed: int = 0, figures: Mapping[str, float] | None = None
) -> dict[str, tuple[float, float]]:
    """The 95 % percentile bootstrap interval of each figure that `metrics.scores` has of these images.

    Where no resample differs (all right, or all wrong) that of a share of the images is exact (Clopper and Pearson,
    1934), and others are NaN.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes).
        seed: Decides which images are drawn.
        figures: Those of the images, where they are known.
    """
    figures = metrics.scores(labels, probabilities) if figures is None else figures
    drawn = resampled(labels, probabilities, seed)
    tail = (1 - LEVEL) / 2
    found = {}
    for name, values in drawn.items():
        if values.min() < values.max():
            low, high = np.quantile(centred(name, values, figures[name]), [tail, 1 - tail])
            found[name] = holding(figures[name], possible(name, float(low)), possible(name, float(high)))
        elif name in _SHARES:  # no resample differs, but to have seen no mistake is not to make none
            right = round(figures[name] * len(labels))
            exact = stats.binomtest(right, len(labels)).proportion_ci(LEVEL, method="exact")
            found[name] = float(exact.low), float(exact.high)
        else:
            found[name] = np.nan, np.nan
    return found


def centred(name: str, values: NDArray[np.float64], figure: float) -> NDArray[np.float64]:
    """Resamples of a figure around it.

    Those of figures of classes lie lower in the mean where classes have few images, since some of them are drawn twice
    and others not at all: that says nothing of the figure.
    """
    return values - values.mean() + figure if name in metrics.OF_COUNTS else values


def holding(figure: float, low: float, high: float) -> tuple[float, float]:
    """The interval with its figure in it, from which nearly equal resamples with few far off may have moved it."""
    return min(low, figure), max(high, figure)


def possible(name: str, value: float) -> float:
    """Within what a figure can be, which the first-order AUC, or few seeds that lie far apart, would leave."""
    lowest = -1 if name in ("cohen_kappa", "mcc") else 0
    return max(value, lowest) if name in LOSSES else min(max(value, lowest), 1)


def resampled(
    labels: Labels, probabilities: Probabilities, seed: int = 0, count: int = RESAMPLES
) -> dict[str, NDArray[np.float64]]:
    """Each figure of each resample, (count,); the same seed draws the same images, so that two models can be paired."""
    each = contributions(labels, probabilities)
    columns = np.stack([*each.values()], axis=1).astype(np.float32)
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    parts = []
    for drawn in draws(len(labels), seed, count):
        means = drawn @ columns / len(labels)
        found = {name: means[:, place] for place, name in enumerate(each)}
        parts.append(found | _of_classes(drawn, np.asarray(labels), predicted, classes))
    return {name: np.concatenate([part[name] for part in parts]).astype(np.float64) for name in parts[0]}


def of_runs(
    labels: Labels, runs: Sequence[Probabilities], figure: str, seed: int = 0, count: int = RESAMPLES
) -> NDArray[np.float64]:
    """One figure of several runs on the same resamples of the same images, (runs, count).

    Raises:
        KeyError: the figure cannot be had of these images.
    """
    if figure in metrics.OF_COUNTS:
        predicted, classes = [run.argmax(axis=1) for run in runs], runs[0].shape[1]
        blocks = [
            np.stack([_of_classes(drawn, np.asarray(labels), taken, classes)[figure] for taken in predicted])
            for drawn in draws(len(labels), seed, count)
        ]
        return np.concatenate(blocks, axis=1)
    columns = np.stack([contributions(labels, run)[figure] for run in runs], axis=1).astype(np.float32)
    means = [(drawn @ columns).T / len(labels) for drawn in draws(len(labels), seed, count)]
    return np.concatenate(means, axis=1).astype(np.float64)


def contributions(labels: Labels, probabilities: Probabilities) -> dict[str, NDArray[np.float64]]:
    """What each image adds to each figure that is a mean over images, (n,)."""
    own = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)[:, 0].astype(np.float64)
    found = {
        "accuracy": (probabilities.argmax(axis=1) == labels).astype(np.float64),
        "top5": metrics.in_top(labels, probabilities, 5),
        "log_loss": metrics.log_losses(labels, probabilities),
        "brier": np.square(probabilities.astype(np.float64)).sum(axis=1) - 2 * own + 1,
    }
    area = _auc_contributions(np.asarray(labels), probabilities)
    return found if area is None else found | {"auc_ovr_macro": area}


def draws(images: int, seed: int, count: int = RESAMPLES) -> Iterator[NDArray[np.float32]]:
    """Blocks (resamples, images) of how often each image is drawn, with replacement; float32, for fast products."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        places = generator.integers(0, images, (size, images)) + np.arange(size)[:, None] * images
        yield np.bincount(places.ravel(), minlength=size * images).reshape(size, images).astype(np.float32)


def _of_classes(
    drawn: NDArray[np.float32], labels: Labels, predicted: Labels, classes: int
) -> dict[str, NDArray[np.float64]]:
    """The figures of classes of each resample, (resamples,)."""
    right = labels == predicted
    hits = _summed(drawn[:, right], labels[right], classes)
    return metrics.of_counts(hits, _summed(drawn, labels, classes), _summed(drawn, predicted, classes))


def _summed(drawn: NDArray[np.float32], classes_of: Labels, classes: int) -> NDArray[np.float64]:
    """Weights of each resample added up by class, (resamples, classes)."""
    own = np.eye(classes, dtype=np.float32)[classes_of]
    return (drawn @ own).astype(np.float64)


def _auc_contributions(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64] | None:
    """What each image adds to the macro AUC. Source: DeLong et al., 1988; Sun and Xu, 2014, for the ranks."""
    areas = metrics.auc_by_class(labels, probabilities)
    defined = np.flatnonzero(np.isfinite(areas))
    if len(defined) == 0:
        return None
    count = len(labels)
    ranks = rankdata(probabilities, axis=0)
    total = np.zeros(count)
    for label in defined:
        own = labels == label
        positive = np.count_nonzero(own)
        values = probabilities[:, label]
        inside = np.empty(count)
        inside[own], inside[~own] = rankdata(values[own]), rankdata(values[~own])
        # Ranks among all less those among one's own kind: how many of the other kind lie below
        below = ranks[:, label] - inside
        share = np.where(own, below / (count - positive), 1 - below / positive)
        weight = np.where(own, count / positive, count / (count - positive))
        total += areas[label] + weight * (share - areas[label])
    return total / len(defined)
