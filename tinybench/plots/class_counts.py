"""How many images of each class there are: counts in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tinybench.core.csv_text import as_csv
from tinybench.plots import style

_COLOURS = {"train": style.BLUE, "validation": style.ORANGE, "test": style.GREEN}
_PANEL, _NAME = 3.2, 1.8  # inches
_NAMED = 30  # more names than that could not be read


def distribution(counts: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> Figure:
    """A panel a split with a bar a class.

    Args:
        counts: By split, (classes,) images.
        names: Of the classes.
    """
    few = len(names) <= _NAMED
    height = max(0.24 * len(names) + 1.2, 2) if few else 4
    figure = style.figure(_PANEL * len(counts) + _NAME, height, "Images of each class")
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axes, (split, values) in zip(panels, counts.items(), strict=True):
        places = np.arange(len(names))
        if few:
            axes.barh(places, values, color=_COLOURS.get(split))
        else:
            axes.fill_betweenx(places, values, step="mid", color=_COLOURS.get(split))
        axes.set(title=f"{split}: {values.sum():,}", xlabel="Images", xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        style.dress(axes, grid="x")
    if few:
        panels[0].set_yticks(range(len(names)), [style.name(name, _NAME) for name in names])
    else:
        panels[0].set_ylabel("Class, by number")
    panels[0].invert_yaxis()
    return figure


def table(counts: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> str:
    """The same data as CSV, one row a class."""
    rows = ([name, *(values[place] for values in counts.values())] for place, name in enumerate(names))
    return as_csv(["class", *counts], rows)
