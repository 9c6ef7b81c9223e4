"""Plot the number of images of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tinybench.core.csv_text import to_csv
from tinybench.plots import short_names, style

_COLOURS = {"train": style.BLUE, "validation": style.ORANGE, "test": style.GREEN}
_PANEL, _NAME = 3.2, 1.8  # inches
_MAX_NAMED = 30  # names of more classes would be too small to read


def plot_class_counts(counts: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> Figure:
    """Plot a panel per split with a bar per class.

    Args:
        counts: By split the number of images of each class, (classes,).
        names: Class names.
    """
    named = len(names) <= _MAX_NAMED
    height = max(0.24 * len(names) + 1.2, 2) if named else 4
    figure = style.new_figure(_PANEL * len(counts) + _NAME, height, "Images per class")
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    positions = np.arange(len(names))
    for axes, (split, values) in zip(panels, counts.items(), strict=True):
        if named:
            axes.barh(positions, values, color=_COLOURS.get(split))
        else:
            axes.fill_betweenx(positions, values, step="mid", color=_COLOURS.get(split))
        axes.set(title=f"{split}: {values.sum():,}", xlabel="Images", xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        style.style_axes(axes, grid="x")
    if named:
        panels[0].set_yticks(range(len(names)), short_names.shorten_names(names, _NAME))
    else:
        panels[0].set_ylabel("Class index")
    panels[0].invert_yaxis()
    return figure


def class_counts_csv(counts: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> str:
    """Return the data of `plot_class_counts` as CSV, one row per class."""
    rows = ([name, *(values[label] for values in counts.values())] for label, name in enumerate(names))
    return to_csv(["class", *counts], rows)
