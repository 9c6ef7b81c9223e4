"""How many images of each class there are: counts in, a figure out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tinybench.figures.words import plain

# Of the Okabe-Ito palette
_COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
_LONGEST_NAME = 22
_NAMED = 30  # more names than that could not be read


def distribution(counts: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> Figure:
    """A panel a split with a bar a class.

    Args:
        counts: By split, (classes,) images.
        names: Of the classes.
    """
    few = len(names) <= _NAMED
    figure = Figure(figsize=(3.6 * len(counts), 0.24 * len(names) + 1 if few else 4), layout="constrained")
    figure.suptitle("Images of each class")
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axes, (split, values) in zip(panels, counts.items(), strict=True):
        places = np.arange(len(names))
        if few:
            axes.barh(places, values, color=_COLOURS.get(split))
        else:
            axes.fill_betweenx(places, values, step="mid", color=_COLOURS.get(split))
        axes.set(title=f"{split}: {values.sum():,}", xlabel="Images", xlim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        axes.spines[["top", "right"]].set_visible(False)
    if few:
        panels[0].set_yticks(range(len(names)), [plain(name, _LONGEST_NAME) for name in names])
    else:
        panels[0].set_ylabel("Class, by number")
    panels[0].invert_yaxis()
    return figure


def table(counts: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> str:
    """The same data as CSV, one row a class."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["class", *counts])
    writer.writerows([name, *(values[place] for values in counts.values())] for place, name in enumerate(names))
    return text.getvalue()
