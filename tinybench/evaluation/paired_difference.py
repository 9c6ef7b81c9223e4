"""Compute the difference of two accuracies on the same images, with a score interval that is valid for few images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def accuracy_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the accuracy of the first model minus that of the second, with its score interval.

    A bootstrap cannot show differences that the images do not contain: for two models that are both correct on all of
    20 images it would give an interval of width 0. The score interval is [-.16, .16] there.

    Args:
        first: (n,) whether the first model is correct, by image.
        second: (n,) the same for the second model.
        confidence: Confidence level of the interval.

    Returns:
        The difference, and the lower and upper end of its interval, all in [-1, 1].

    Source: Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, 1998.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    gained = int(np.count_nonzero(first & ~second))
    lost = int(np.count_nonzero(second & ~first))
    images = len(first)
    value, width = (gained - lost) / images, float(norm.ppf((1 + confidence) / 2))

    def excess(difference: float, side: int) -> float:
        return _score_statistic(difference, gained, lost, images) - side * width

    low = -1.0 if value <= -1 else float(brentq(excess, -1 + 1e-12, value, args=(1,)))
    high = 1.0 if value >= 1 else float(brentq(excess, value, 1 - 1e-12, args=(-1,)))
    return value, low, high


def _score_statistic(difference: float, gained: int, lost: int, images: int) -> float:
    """Return how many standard deviations the observed counts are from a hypothetical true difference.

    Args:
        difference: The hypothetical difference of the accuracies.
        gained: Number of images on which only the first model is correct.
        lost: Number of images on which only the second model is correct.
        images: Number of all images.
    """
    a = 2 * images
    b = -gained - lost + (2 * images - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)  # of images that only the second has correct
    variance = images * (2 * share + difference * (1 - difference))
    deviation = gained - lost - images * difference
    return deviation / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, deviation) if deviation else 0.0
