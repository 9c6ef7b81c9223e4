"""The metrics by which models can be ranked: each is a mean over the test images.

What a draw of other test images changes of a mean, and of the difference of two, follows from the value of each
image. Macro F1, the area under the ROC curve and the calibration error are no such means: an F1 divides counts of
images by counts of predictions, an area compares pairs of images, and a calibration error adds up absolute values. They
are columns of a board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RankingMetric:
    """A metric by which models can be ranked.

    Attributes:
        title: The heading of its column.
        lower_is_better: Whether a model with a lower value is better.
        is_share: Whether it is between 0 and 1, and 1 only if no image is wrong.
        by_class: Whether it is the mean over the classes of means over their images.
    """

    title: str
    lower_is_better: bool = False
    is_share: bool = True
    by_class: bool = False


METRICS = {
    "accuracy": RankingMetric("top-1"),
    "top5": RankingMetric("top-5"),
    "balanced_accuracy": RankingMetric("balanced accuracy", by_class=True),
    "log_loss": RankingMetric("log loss", lower_is_better=True, is_share=False),
}
"""The metrics by their names, each of which is logged as `test/<name>`."""


def weigh_images(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return (images,) weights with mean 1 by which a mean over images is the mean over the classes that occur."""
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(len(labels) / (len(counts) * counts[classes]))


def find_weight_of_image(
    metric: str, labels: NDArray[np.integer], classes: int, scores: Sequence[NDArray[np.floating]]
) -> float:
    """Return what one image may change of the sum of the scores.

    It is 1 for a share. For a mean over classes it is the weight of an image of the smallest class. A log loss has no
    largest value: the largest of the board counts, and at least that of guessing.

    Args:
        metric: One of `METRICS`.
        labels: (images,) true classes.
        classes: Number of classes that the models tell apart.
        scores: For each model (runs, images): the values of its images.
    """
    if metric == "log_loss":
        return max(float(np.log(classes)), *(float(runs.max()) for runs in scores))
    return float(weigh_images(labels).max()) if METRICS[metric].by_class else 1.0
