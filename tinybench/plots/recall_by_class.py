"""Plot the recall of each class, which is the accuracy on its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from tinybench.plots import short_names, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]

_MAX_CLASSES, _ENDS = 40, 20
_BAR, _NAME = 0.19, 2.2  # inches
_HISTOGRAM_HEIGHT = 1.6  # inches
# Slightly lower than the nominal edges: otherwise rounding decides on which side of an edge 3 of 10 lies
_EDGES = [0.0, *(float(edge) - 1e-9 for edge in np.arange(0.05, 0.975, 0.05)), 1.0]


def plot_recall_by_class(
    recall: Values, support: Counts, names: Sequence[str], intervals: Values | None = None
) -> Figure:
    """Plot a bar per class, the highest recall on top.

    Of more than 40 classes the 20 best and the 20 worst are shown, and a histogram of all.

    Args:
        recall: (classes,) fraction of the images of each class that are classified correctly.
        support: (classes,) number of images of each class; classes without images are omitted, which the title says.
        names: Class names.
        intervals: (classes, 2) lower and upper bounds of the recall.

    Raises:
        ValueError: No class has images.
    """
    present = np.flatnonzero(support)
    if len(present) == 0:
        raise ValueError("Expected a class with images, got none.")
    order = present[np.argsort(-recall[present], kind="stable")]
    many = len(order) > _MAX_CLASSES
    groups = {f"The {_ENDS} best": order[:_ENDS], f"The {_ENDS} worst": order[-_ENDS:]} if many else {"": order}
    mean = float(recall[present].mean())
    shown_names = short_names.shorten_names(names, _NAME - 0.6)
    bars_height = _BAR * max(*map(len, groups.values()), 4) + 0.5
    figure = style.new_figure(
        (_NAME + 4) * len(groups),
        bars_height + (_HISTOGRAM_HEIGHT if many else 0) + 0.8,
        _title(len(names), len(present), mean),
    )
    heights = [bars_height, _HISTOGRAM_HEIGHT]
    grid = figure.add_gridspec(2, 2, height_ratios=heights) if many else figure.add_gridspec(1, 1)
    for column, (title, classes) in enumerate(groups.items()):
        axes = figure.add_subplot(grid[0, column])
        axes.set_title(title, fontsize=style.MEDIUM)
        _draw_bars(axes, recall[classes], support[classes], [shown_names[label] for label in classes])
        if intervals is not None:
            _draw_intervals(axes, recall[classes], intervals[classes])
        axes.axvline(mean, color="black", linestyle=":", linewidth=1)
    if many:
        _draw_histogram(figure.add_subplot(grid[1, :]), recall[present], mean)
    return figure


def _title(classes: int, present: int, mean: float) -> str:
    title = f"Accuracy per class, mean {mean:.1%}"
    absent = classes - present
    return title + (f"\n{absent} of {classes} classes have no images and are left out" if absent else "")


def _draw_bars(axes: Axes, recall: Values, support: Counts, names: Sequence[str]) -> None:
    positions = np.arange(len(recall))
    axes.barh(positions, recall, color=style.SKY, height=0.75)
    labels = [
        f"{name} ({share * count:,.0f} of {count:,})" for name, share, count in zip(names, recall, support, strict=True)
    ]
    axes.set_yticks(positions, labels, fontsize=style.SMALL)
    axes.set(xlim=(0, 1), ylim=(len(recall) - 0.4, -0.6))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("Accuracy (in brackets: correct of all images)", fontsize=style.MEDIUM)
    style.style_axes(axes, grid="x")


def _draw_intervals(axes: Axes, recall: Values, intervals: Values) -> None:
    errors = np.abs(intervals.T - recall)
    axes.errorbar(recall, np.arange(len(recall)), xerr=errors, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)


def _draw_histogram(axes: Axes, recall: Values, mean: float) -> None:
    axes.hist(recall, _EDGES, color=style.SKY, edgecolor="white")
    axes.axvline(mean, color="black", linestyle=":", linewidth=1, label=f"mean, {mean:.1%}")
    axes.set_title(f"All {len(recall)} classes", fontsize=style.MEDIUM)
    axes.set(xlim=(0, 1), xlabel="Accuracy", ylabel="Classes")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    style.style_axes(axes, grid="y")
