"""What a layer computes, and the filters of the first: arrays in, a figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import style

_MOST = 64
_COLUMNS = 8
_SIDE = 0.75  # inches
_IMAGE = 2  # slices wide and high

Values = NDArray[np.floating[Any]]


def slices(image: NDArray[np.uint8], maps: Values, title: str, most: int = _MOST) -> Figure:
    """The image, then a panel a depth slice, each from its own least value (dark) to its own largest (bright).

    The data are the arguments.

    Args:
        image: (height, width, channels) what the network saw.
        maps: (h, w, channels) what the layer gave.
        title: Above all.
        most: Slices that are shown, from the first.
    """
    channels = maps.shape[-1]
    shown = min(channels, most)
    columns = min(shown, _COLUMNS)
    rows = max(-(-shown // columns), _IMAGE)
    figure = style.figure(_SIDE * (columns + _IMAGE) + 0.3, _SIDE * rows + 0.45, f"{title}, {_part(shown, channels)}")
    grid = figure.add_gridspec(rows, _IMAGE + columns)
    axes = figure.add_subplot(grid[:_IMAGE, :_IMAGE])
    style.image(axes, image)
    for place in range(shown):
        axes = figure.add_subplot(grid[place // columns, _IMAGE + place % columns])
        axes.imshow(maps[..., place], cmap="viridis")
        style.bare(axes)
    return figure


def filters(kernels: Values, most: int = _MOST) -> Figure:
    """A panel a filter, all on one scale with 0 in the middle: in colours of three channels, else gray.

    The data are the argument.

    Args:
        kernels: (kernel height, kernel width, channels in, count); of other than three channels the mean is shown.
        most: Filters that are shown, from the first.
    """
    height, width, _, count = kernels.shape
    shown = min(count, most)
    columns = min(shown, _COLUMNS)
    pictures = _pictures(kernels[..., :shown])
    title = f"Filters of the first layer ({height} by {width}), {_part(shown, count)}"
    figure = style.figure(max(_SIDE * columns, 4) + 0.2, _SIDE * -(-shown // columns) + 0.5, title)
    panels = figure.subplots(-(-shown // columns), columns, squeeze=False).ravel()
    for axes in panels[shown:]:
        axes.axis("off")
    for axes, picture in zip(panels, pictures, strict=False):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        style.bare(axes)
    return figure


def _pictures(kernels: Values) -> list[NDArray[np.float64]]:
    """Filters (height, width[, 3]) from 0 to 1."""
    kernels = np.asarray(kernels, np.float64)
    if kernels.shape[2] != 3:
        kernels = kernels.mean(axis=2)
    largest = np.abs(kernels).max() or 1.0
    return [*np.moveaxis(kernels / largest / 2 + 0.5, -1, 0)]


def _part(shown: int, count: int) -> str:
    return f"all {count:,}" if shown == count else f"{shown:,} of {count:,}"
