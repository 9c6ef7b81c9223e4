"""The macro-average ROC curve: arrays in, a figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tinybench.core.csv_text import as_csv
from tinybench.plots import style

Values = NDArray[np.floating[Any]]


def macro(false_positive: Values, true_positive_mean: Values, low: Values, high: Values, area: float) -> Figure:
    """The mean curve of each class against the rest, within the band of the classes.

    Args:
        false_positive: (p,) rates.
        true_positive_mean: (p,) mean of the classes' true positive rates there.
        low: (p,) their 10th percentile.
        high: (p,) their 90th percentile.
        area: Mean of the areas under the classes' curves.
    """
    figure = style.figure(5, 5, "ROC curve, each class against the rest")
    axes = figure.subplots()
    axes.fill_between(
        false_positive, low, high, color=style.BLUE, alpha=0.25, linewidth=0, label="10th to 90th percentile of classes"
    )
    axes.plot(
        false_positive, true_positive_mean, color=style.BLUE, label=f"mean of classes, area {area:.3f}", clip_on=False
    )
    axes.plot([0, 1], [0, 1], color=style.GRAY, linestyle="--", label="chance")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="False positive rate", ylabel="True positive rate")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower right", frameon=False)
    style.dress(axes)
    return figure


def table(false_positive: Values, true_positive_mean: Values, low: Values, high: Values) -> str:
    """The same data as CSV, one row a point."""
    rows = zip(false_positive, true_positive_mean, low, high, strict=True)
    return as_csv(["false_positive_rate", "true_positive_rate", "low", "high"], rows)
