"""Images side by side: arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.figures.words import plain

_SIDE = 0.9  # inches
_LONGEST_NAME = 22


def grid(rows: Sequence[NDArray[np.uint8]], names: Sequence[str], titles: Sequence[str] = ()) -> Figure:
    """A row of images for each name.

    Args:
        rows: For each name images (n, height, width, channels); rows may differ in length.
        names: Written before each row.
        titles: Written above the columns.
    """
    columns = max(len(titles), *(len(images) for images in rows))
    figure = Figure(figsize=(_SIDE * columns + 2, _SIDE * len(rows) + 0.3), layout="constrained")
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for line, images, name in zip(panels, rows, names, strict=True):
        line[0].text(
            -0.15,
            0.5,
            plain(name, _LONGEST_NAME),
            transform=line[0].transAxes,
            ha="right",
            va="center",
            fontsize="small",
        )
        for axes, pixels in zip(line, images, strict=False):
            axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255)
    for axes, title in zip(panels[0], titles, strict=False):
        axes.set_title(title, fontsize="small")
    return figure


def augmented(seen: NDArray[np.uint8], names: Sequence[str]) -> Figure:
    """Images as they are and as they are trained on.

    Args:
        seen: (images, 1 + times, height, width, channels), the first of each as it is.
        names: Classes of the images.
    """
    return grid([*seen], names, ["as it is", *["augmented"] * (seen.shape[1] - 1)])
