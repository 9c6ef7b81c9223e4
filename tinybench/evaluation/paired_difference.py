"""The difference of two accuracies on the same images, with an interval that holds for few of them as well."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def accuracy_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Accuracy of the first less that of the second, and the score interval around it.

    Resampling shows nothing but what was seen: two that answer the same 20 images rightly would not differ at all.
    This interval is [-.16, .16] there.

    Args:
        first: (n,) whether it is right, by image.
        second: (n,) of the other one.
        confidence: Of the interval.

    Returns:
        The difference, and the interval's lower and upper end, all in [-1, 1].

    Source: Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design, 1998.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    gained = int(np.count_nonzero(first & ~second))
    lost = int(np.count_nonzero(second & ~first))
    images = len(first)
    value, width = (gained - lost) / images, float(norm.ppf((1 + confidence) / 2))

    def beyond(difference: float, side: int) -> float:
        return _score(difference, gained, lost, images) - side * width

    low = -1.0 if value <= -1 else float(brentq(beyond, -1 + 1e-12, value, args=(1,)))
    high = 1.0 if value >= 1 else float(brentq(beyond, value, 1 - 1e-12, args=(-1,)))
    return value, low, high


def _score(difference: float, gained: int, lost: int, images: int) -> float:
    """How many standard deviations the images lie off, were this the true difference."""
    a = 2 * images
    b = -gained - lost + (2 * images - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)  # of images that the second alone has right
    variance = images * (2 * share + difference * (1 - difference))
    off = gained - lost - images * difference
    return off / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, off) if off else 0.0
