"""Compute bootstrap intervals of metrics over the images of a split, all resamples at once.

A resample is stored as how often each image was drawn. Metrics that are means over images are then matrix products;
metrics of classes (F1, kappa and so on) come from weighted counts; AUC comes from its first-order expansion (DeLong's
structural components): the AUC of all images plus, for each draw, the contribution of the image. ECE and MCE have no
interval: resampling adds noise to every bin, which can only raise them, so that the interval would lie above the value.
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
LOWER_IS_BETTER = ("log_loss", "brier")

_FRACTIONS = ("accuracy", "top5", "recall_weighted")  # metrics that are a fraction of the images

_BLOCK = 250  # resamples at once: bounds the memory
Labels = NDArray[np.integer[Any]]
Probabilities = NDArray[np.floating[Any]]


def bootstrap_intervals(
    labels: Labels, probabilities: Probabilities, seed: int = 0, values: Mapping[str, float] | None = None
) -> dict[str, tuple[float, float]]:
    """Compute the 95 % percentile bootstrap interval of every metric except ECE and MCE.

    Where all resamples are equal (all images correct, or all wrong), fractions of the images get the exact interval
    (Clopper and Pearson, 1934), and other metrics NaN.

    Args:
        labels: (n,) true classes.
        probabilities: (n, classes).
        seed: Decides which images are drawn.
        values: The metrics of the images, to save computing them.

    Returns:
        By metric the lower and upper end.
    """
    values = metrics.classification_metrics(labels, probabilities) if values is None else values
    tail = (1 - LEVEL) / 2
    intervals = {}
    for name, resamples in resample_metrics(labels, probabilities, seed).items():
        if resamples.min() < resamples.max():
            low, high = np.quantile(centre_resamples(name, resamples, values[name]), [tail, 1 - tail])
            ends = clip_to_range(name, float(low)), clip_to_range(name, float(high))
            intervals[name] = include_value(values[name], *ends)
        elif name in _FRACTIONS:  # no error among these images does not mean that the model makes none
            correct = round(values[name] * len(labels))
            exact = stats.binomtest(correct, len(labels)).proportion_ci(LEVEL, method="exact")
            intervals[name] = float(exact.low), float(exact.high)
        else:
            intervals[name] = np.nan, np.nan
    return intervals


def centre_resamples(name: str, resamples: NDArray[np.float64], value: float) -> NDArray[np.float64]:
    """Shift the resamples of a metric of classes so that their mean is the value of the metric; keep those of others.

    Where classes have few images, such resamples are biased downwards, because some images are drawn twice and others
    not at all; that says nothing about the metric.
    """
    return resamples - resamples.mean() + value if name in metrics.COUNT_METRICS else resamples


def include_value(value: float, low: float, high: float) -> tuple[float, float]:
    """Extend an interval to include the value itself, which few outliers among equal resamples may exclude."""
    return min(low, value), max(high, value)


def clip_to_range(name: str, value: float) -> float:
    """Clip the end of an interval to the range of the metric: first-order AUC and few, distant seeds may exceed it."""
    lowest = -1 if name in ("cohen_kappa", "mcc") else 0
    return max(value, lowest) if name in LOWER_IS_BETTER else min(max(value, lowest), 1)


def resample_metrics(
    labels: Labels, probabilities: Probabilities, seed: int = 0, count: int = RESAMPLES
) -> dict[str, NDArray[np.float64]]:
    """Return each metric of each resample, (count,); a seed always draws the same images, so models can be paired."""
    contributions = image_contributions(labels, probabilities)
    columns = np.stack([*contributions.values()], axis=1).astype(np.float32)
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    blocks = []
    for draws in draw_resamples(len(labels), seed, count):
        means = draws @ columns / len(labels)
        block = {name: means[:, index] for index, name in enumerate(contributions)}
        blocks.append(block | _count_metrics(draws, np.asarray(labels), predicted, classes))
    return {name: np.concatenate([block[name] for block in blocks]).astype(np.float64) for name in blocks[0]}


def resample_runs(
    labels: Labels, runs: Sequence[Probabilities], metric: str, seed: int = 0, count: int = RESAMPLES
) -> NDArray[np.float64]:
    """Return one metric of several runs on the same resamples of the same images, (runs, count).

    Args:
        labels: (n,) true classes.
        runs: For each run the probabilities (n, classes).
        metric: Name of the metric.
        seed: Decides which images are drawn.
        count: Number of resamples.

    Raises:
        KeyError: The metric is not defined for these images.
    """
    if metric in metrics.COUNT_METRICS:
        predicted, classes = [run.argmax(axis=1) for run in runs], runs[0].shape[1]
        blocks = [
            np.stack([_count_metrics(draws, np.asarray(labels), column, classes)[metric] for column in predicted])
            for draws in draw_resamples(len(labels), seed, count)
        ]
        return np.concatenate(blocks, axis=1)
    columns = np.stack([image_contributions(labels, run)[metric] for run in runs], axis=1).astype(np.float32)
    means = [(draws @ columns).T / len(labels) for draws in draw_resamples(len(labels), seed, count)]
    return np.concatenate(means, axis=1).astype(np.float64)


def image_contributions(labels: Labels, probabilities: Probabilities) -> dict[str, NDArray[np.float64]]:
    """Return, for each metric that is a mean over images, the value of each image (n,)."""
    true = np.take_along_axis(probabilities, np.asarray(labels)[:, None], axis=1)[:, 0].astype(np.float64)
    contributions = {
        "accuracy": (probabilities.argmax(axis=1) == labels).astype(np.float64),
        "top5": metrics.top_k_hits(labels, probabilities, 5),
        "log_loss": metrics.log_loss_per_image(labels, probabilities),
        "brier": np.square(probabilities.astype(np.float64)).sum(axis=1) - 2 * true + 1,
    }
    auc = _auc_contributions(np.asarray(labels), probabilities)
    return contributions if auc is None else contributions | {"auc_ovr_macro": auc}


def draw_resamples(images: int, seed: int, count: int = RESAMPLES) -> Iterator[NDArray[np.float32]]:
    """Yield blocks (resamples, images) of how often each image is drawn with replacement; float32 for fast products."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        indices = generator.integers(0, images, (size, images)) + np.arange(size)[:, None] * images
        yield np.bincount(indices.ravel(), minlength=size * images).reshape(size, images).astype(np.float32)


def _count_metrics(
    draws: NDArray[np.float32], labels: Labels, predicted: Labels, classes: int
) -> dict[str, NDArray[np.float64]]:
    """Return the metrics of classes of each resample, (resamples,)."""
    correct = labels == predicted
    hits = _sum_by_class(draws[:, correct], labels[correct], classes)
    support, predicted_count = (_sum_by_class(draws, column, classes) for column in (labels, predicted))
    return metrics.metrics_from_counts(hits, support, predicted_count)


def _sum_by_class(draws: NDArray[np.float32], image_classes: Labels, classes: int) -> NDArray[np.float64]:
    """Add up how often images are drawn by their class, (resamples, classes)."""
    one_hot = np.eye(classes, dtype=np.float32)[image_classes]
    return (draws @ one_hot).astype(np.float64)


def _auc_contributions(labels: Labels, probabilities: Probabilities) -> NDArray[np.float64] | None:
    """Return the value of each image (n,) whose mean is the macro AUC; None where the AUC is not defined.

    Source: DeLong et al., 1988; Sun and Xu, 2014, for the computation by ranks.
    """
    areas = metrics.auc_by_class(labels, probabilities)
    defined = np.flatnonzero(np.isfinite(areas))
    if len(defined) == 0:
        return None
    count = len(labels)
    ranks = rankdata(probabilities, axis=0)
    total = np.zeros(count)
    for label in defined:
        members = labels == label
        positive = np.count_nonzero(members)
        scores = probabilities[:, label]
        ranks_within = np.empty(count)
        ranks_within[members], ranks_within[~members] = rankdata(scores[members]), rankdata(scores[~members])
        # The rank among all images less that among images of the same kind counts the images of the other kind below
        below = ranks[:, label] - ranks_within
        share = np.where(members, below / (count - positive), 1 - below / positive)
        weight = np.where(members, count / positive, count / (count - positive))
        total += areas[label] + weight * (share - areas[label])
    return total / len(defined)
