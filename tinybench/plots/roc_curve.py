"""Plot the macro-average ROC curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tinybench.core.csv_text import to_csv
from tinybench.plots import style

Values = NDArray[np.floating[Any]]


def plot_roc_curve(
    false_positive: Values, true_positive_mean: Values, low: Values, high: Values, area: float
) -> Figure:
    """Plot the mean of the one-vs-rest ROC curves of the classes, within the band of their percentiles.

    Args:
        false_positive: (points,) false positive rates.
        true_positive_mean: (points,) mean true positive rate over the classes.
        low: (points,) 10th percentile over the classes.
        high: (points,) 90th percentile over the classes.
        area: Mean of the areas under the curves of the classes.
    """
    figure = style.new_figure(5, 5, "ROC curve, one class against the rest")
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
    style.style_axes(axes)
    return figure


def roc_curve_csv(false_positive: Values, true_positive_mean: Values, low: Values, high: Values) -> str:
    """Return the data of `plot_roc_curve` as CSV, one row per point."""
    rows = zip(false_positive, true_positive_mean, low, high, strict=True)
    return to_csv(["false_positive_rate", "true_positive_rate", "low", "high"], rows)
