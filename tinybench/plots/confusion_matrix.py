"""Plot a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tinybench.core.csv_text import to_csv
from tinybench.plots import short_names, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Counts = NDArray[np.integer[Any]]
Shares = NDArray[np.float64]

_MAX_CLASSES = 30  # the labels of more would be too small to read
_MAX_NUMBERED = 12  # cells of more classes are too small for numbers
_CELL, _LARGE_CELL, _PADDING = 0.23, 0.5, 0.1  # inches
_MIN_SIDE = 2.6  # inches of all cells together: a narrower figure would cut off its title
_NAME = 1.5  # inches
_DARK = 0.55  # of the colour scale: text is white from here on


def plot_confusion_matrix(counts: Counts, names: Sequence[str]) -> Figure:
    """Plot the confusion matrix, each row normalised by the number of images of its true class.

    Of more than 30 classes those with the lowest recall are shown, on a colour scale from 0 to their maximum; beside
    each row stands the class that its images are most often mistaken for, which may have no column of its own.

    Args:
        counts: (classes, classes) number of images; rows are true classes, columns predicted ones.
        names: Class names.

    Raises:
        ValueError: There are no images.
    """
    if not counts.any():
        raise ValueError("Expected images, got none.")
    images = counts.sum(axis=1)
    complete = len(names) <= _MAX_CLASSES
    classes = np.arange(len(names)) if complete else _lowest_recall(counts)
    shares = np.divide(counts, images[:, None], out=np.full(counts.shape, np.nan), where=images[:, None] > 0)
    block = np.ix_(classes, classes)
    shown_names = short_names.shorten_names(names, _NAME)
    labels = [shown_names[label] for label in classes]
    cell = _CELL
    if len(labels) <= _MAX_NUMBERED:  # with room for the largest number
        cell = max(_LARGE_CELL, style.text_width(f"{counts[block].max():,}") + _PADDING)
    margin = max(style.text_width(label) for label in labels) + 0.6  # inches, with the label of the axis
    side = max(cell * len(labels), _MIN_SIDE)
    figure = style.new_figure(side + margin + (1.2 if complete else 3.2), side + margin + 0.8)
    axes = figure.subplots()
    axes.set_title(_title(counts, len(labels)), fontsize=style.LARGE)
    _draw_cells(figure, axes, shares[block], labels, 1 if complete else shares[block].max() or 1)
    if len(labels) <= _MAX_NUMBERED:
        _draw_numbers(axes, counts[block], shares[block])
    if not complete:
        _draw_most_confused(axes, shares[classes], classes, shown_names)
    return figure


def confusion_matrix_csv(counts: Counts, names: Sequence[str]) -> str:
    """Return the complete matrix as CSV, one row per true class and one column per predicted class."""
    return to_csv(["true \\ predicted", *names], ([name, *row] for name, row in zip(names, counts, strict=True)))


def _lowest_recall(counts: Counts) -> NDArray[np.int64]:
    """Return the classes to show, the lowest recall first; among equal ones the class with more images."""
    images = counts.sum(axis=1)
    present = np.flatnonzero(images)
    order = np.lexsort((-images[present], counts.diagonal()[present] / images[present]))
    return present[order][:_MAX_CLASSES]


def _title(counts: Counts, shown_count: int) -> str:
    images, absent = counts.sum(), np.count_nonzero(counts.sum(axis=1) == 0)
    title = f"Accuracy {counts.trace() / images:.1%} on {images:,} images"
    if shown_count < len(counts):
        title += f"\nThe {shown_count} of {len(counts)} classes with the lowest recall"
    if absent:
        title += f"\n{absent} {'class has' if absent == 1 else 'classes have'} no images"
    return title


def _draw_cells(figure: Figure, axes: Axes, shares: Shares, labels: Sequence[str], maximum: float) -> None:
    axes.set_facecolor("#EEEEEE")  # visible where a class has no images
    cells = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", vmin=0, vmax=maximum)
    bar = figure.colorbar(cells, ax=axes, format=PercentFormatter(1), shrink=0.6, aspect=25, pad=0.02)
    bar.set_label("Share of the true class", fontsize=style.MEDIUM)
    bar.ax.tick_params(labelsize=style.SMALL)
    axes.set_yticks(range(len(labels)), labels, fontsize=style.SMALL)
    axes.set_xticks(range(len(labels)), labels, fontsize=style.SMALL, rotation=90)
    axes.set(xlabel="Predicted", ylabel="True")


def _draw_numbers(axes: Axes, counts: Counts, shares: Shares) -> None:
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > _DARK else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=style.SMALL)


def _draw_most_confused(axes: Axes, shares: Shares, classes: NDArray[np.int64], names: Sequence[str]) -> None:
    """Label each row on the right with its most frequent wrong class."""
    errors = shares.copy()
    errors[np.arange(len(classes)), classes] = 0
    labels = [
        f"{row[label]:.0%} {names[label]}" if row[label] else "-"
        for row, label in zip(errors, errors.argmax(axis=1), strict=True)
    ]
    right_axis = axes.secondary_yaxis("right")
    right_axis.set_yticks(range(len(labels)), labels, fontsize=style.SMALL)
    right_axis.set_ylabel("Most often mistaken for")
    right_axis.tick_params(length=0)
