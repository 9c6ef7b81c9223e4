"""Plot a reliability diagram: accuracy against confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tinybench.core.csv_text import to_csv
from tinybench.plots import style

if TYPE_CHECKING:
    from tinybench.evaluation.calibration import CalibrationBins

_BAR = 0.012  # width as a fraction of the axis
# Markers and lines differ as well as colours; the curve after temperature scaling is drawn in front
_STYLES = {"as trained": (style.ORANGE, "s", "--"), "after temperature scaling": (style.BLUE, "o", "-")}


def plot_reliability_diagram(
    before: CalibrationBins,
    after: CalibrationBins | None = None,
    ece_before: float | None = None,
    ece_after: float | None = None,
) -> Figure:
    """Plot accuracy against confidence with 95 % intervals, and below it the number of images of each bin.

    Args:
        before: Bins of the model as trained.
        after: Bins of the model after temperature scaling.
        ece_before: Expected calibration error of the model as trained; that of the bins when None.
        ece_after: Expected calibration error after temperature scaling; that of the bins when None.
    """
    curves = _named_bins(before, after)
    figure = style.new_figure(5, 4.6 + 0.9 * len(curves), "Confidence and accuracy")
    panels = figure.subplots(1 + len(curves), 1, sharex=True, height_ratios=[4, *[0.9] * len(curves)])
    top = panels[0]
    top.plot([0, 1], [0, 1], color=style.GRAY, linewidth=1, label="perfect calibration")
    for axes, (name, bins), ece in zip(panels[1:], curves.items(), (ece_before, ece_after), strict=False):
        colour, marker, line = _STYLES[name]
        label = f"{name}, ECE {bins.ece if ece is None else ece:.1%}"
        top.plot(
            bins.confidence, bins.accuracy, color=colour, marker=marker, linestyle=line, label=label, clip_on=False
        )
        whiskers = np.abs(bins.accuracy_interval().T - bins.accuracy)
        top.errorbar(bins.confidence, bins.accuracy, whiskers, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5)
        axes.bar(bins.confidence, bins.count, _BAR, color=colour)
        axes.set_ylabel("Images")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
        style.style_axes(axes)
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="Accuracy")
    top.xaxis.set_major_formatter(PercentFormatter(1))
    top.yaxis.set_major_formatter(PercentFormatter(1))
    style.style_axes(top)
    panels[-1].set_xlabel("Confidence, mean of each bin (vertical lines: 95 % intervals)")
    figure.legend(loc="outside lower center", frameon=False)  # outside, because curves may be anywhere inside
    return figure


def reliability_diagram_csv(before: CalibrationBins, after: CalibrationBins | None = None) -> str:
    """Return the bins of `plot_reliability_diagram` as CSV, one row per bin."""
    rows = (
        [name, *row]
        for name, bins in _named_bins(before, after).items()
        for row in zip(bins.confidence, bins.accuracy, bins.count, strict=True)
    )
    return to_csv(["model", "confidence", "accuracy", "images"], rows)


def _named_bins(before: CalibrationBins, after: CalibrationBins | None) -> dict[str, CalibrationBins]:
    return {name: bins for name, bins in zip(_STYLES, (before, after), strict=True) if bins is not None}
