"""What is taken for what: a confusion matrix in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tinybench.core.csv_text import as_csv
from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Counts = NDArray[np.integer[Any]]
Shares = NDArray[np.float64]

_SHOWN = 30  # more classes could not be read
_NUMBERED = 12  # cells of more classes are too small for numbers
_CELL, _LARGE_CELL = 0.23, 0.5  # inches
_LEAST = 2.6  # inches of all cells: a narrower picture would cut its title
_NAME = 1.5  # inches
_DARK = 0.55  # of the scale: white figures from here on


def matrix(counts: Counts, names: Sequence[str]) -> Figure:
    """Each row a true class, its colours the shares that are taken for each class.

    Of more than 30 classes those are shown that are recognised worst, on a scale of their own; beside each row stands
    what it is taken for most, which may be a class that has no column.

    Args:
        counts: (c, c) images; rows are true classes, columns predicted ones.
        names: Of the classes.

    Raises:
        ValueError: no images.
    """
    if not counts.any():
        raise ValueError("Expected images, got none.")
    images = counts.sum(axis=1)
    complete = len(names) <= _SHOWN
    classes = np.arange(len(names)) if complete else _worst(counts)
    shares = np.divide(counts, images[:, None], out=np.full(counts.shape, np.nan), where=images[:, None] > 0)
    shown = np.ix_(classes, classes)
    labels = [style.name(names[place], _NAME) for place in classes]
    cell = _LARGE_CELL if len(labels) <= _NUMBERED else _CELL
    room = max(style.width_of(label) for label in labels) + 0.6  # inches, with the axis's own label
    side = max(cell * len(labels), _LEAST)
    figure = style.figure(side + room + (1.2 if complete else 3.2), side + room + 0.8)
    axes = figure.subplots()
    axes.set_title(_title(counts, len(labels)), fontsize=style.LARGE)
    _cells(figure, axes, shares[shown], labels, 1 if complete else shares[shown].max() or 1)
    if len(labels) <= _NUMBERED:
        _numbers(axes, counts[shown], shares[shown])
    if not complete:
        _taken_for(axes, shares[classes], classes, names)
    return figure


def table(counts: Counts, names: Sequence[str]) -> str:
    """The whole matrix as CSV: a row a true class, a column a predicted one."""
    return as_csv(["true \\ predicted", *names], ([name, *row] for name, row in zip(names, counts, strict=True)))


def _worst(counts: Counts) -> NDArray[np.int64]:
    """Classes with images, the least recall first; of equal ones the one with more images."""
    images = counts.sum(axis=1)
    present = np.flatnonzero(images)
    order = np.lexsort((-images[present], counts.diagonal()[present] / images[present]))
    return present[order][:_SHOWN]


def _title(counts: Counts, shown: int) -> str:
    images, absent = counts.sum(), np.count_nonzero(counts.sum(axis=1) == 0)
    title = f"{counts.trace() / images:.1%} of {images:,} images right"
    if shown < len(counts):
        title += f"\nThe {shown} of {len(counts)} classes that are recognised worst"
    if absent:
        title += f"\n{absent} {'class has' if absent == 1 else 'classes have'} no images"
    return title


def _cells(figure: Figure, axes: Axes, shares: Shares, labels: Sequence[str], most: float) -> None:
    axes.set_facecolor("#EEEEEE")  # seen where a class has no images
    picture = axes.imshow(np.ma.masked_invalid(shares), cmap="Blues", vmin=0, vmax=most)
    bar = figure.colorbar(picture, ax=axes, format=PercentFormatter(1), shrink=0.6, aspect=25, pad=0.02)
    bar.set_label("Share of the true class", fontsize=style.MEDIUM)
    bar.ax.tick_params(labelsize=style.SMALL)
    axes.set_yticks(range(len(labels)), labels, fontsize=style.SMALL)
    axes.set_xticks(range(len(labels)), labels, fontsize=style.SMALL, rotation=90)
    axes.set(xlabel="Predicted", ylabel="True")


def _numbers(axes: Axes, counts: Counts, shares: Shares) -> None:
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > _DARK else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour, fontsize=style.SMALL)


def _taken_for(axes: Axes, shares: Shares, classes: NDArray[np.int64], names: Sequence[str]) -> None:
    wrong = shares.copy()
    wrong[np.arange(len(classes)), classes] = 0
    mistaken = wrong.argmax(axis=1)
    words = [
        f"{row[other]:.0%} {style.name(names[other], _NAME)}" if row[other] else "-"
        for row, other in zip(wrong, mistaken, strict=True)
    ]
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(words)), words, fontsize=style.SMALL)
    beside.set_ylabel("Taken most for")
    beside.tick_params(length=0)
