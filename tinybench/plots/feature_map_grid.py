"""Plot the feature maps of a layer, and the filters of the first convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import style

_MAX_PANELS = 64
_COLUMNS = 8
_SIDE = 0.75  # inches
_IMAGE_SPAN = 2  # panels that the image is wide and high

Values = NDArray[np.floating[Any]]


def plot_feature_maps(image: NDArray[np.uint8], maps: Values, title: str, max_panels: int = _MAX_PANELS) -> Figure:
    """Plot the image, then a panel per channel of the layer, each from its own minimum (dark) to its own maximum.

    Args:
        image: (height, width, channels) input of the network.
        maps: (h, w, channels) output of the layer.
        title: Title of the figure.
        max_panels: Number of channels that are shown, from the first.
    """
    channels = maps.shape[-1]
    shown_count = min(channels, max_panels)
    columns = min(shown_count, _COLUMNS)
    rows = max(-(-shown_count // columns), _IMAGE_SPAN)
    title = f"{title}, {_describe_count(shown_count, channels)}"
    figure = style.new_figure(_SIDE * (columns + _IMAGE_SPAN) + 0.3, _SIDE * rows + 0.45, title)
    grid = figure.add_gridspec(rows, _IMAGE_SPAN + columns)
    axes = figure.add_subplot(grid[:_IMAGE_SPAN, :_IMAGE_SPAN])
    style.show_image(axes, image)
    for channel in range(shown_count):
        axes = figure.add_subplot(grid[channel // columns, _IMAGE_SPAN + channel % columns])
        axes.imshow(maps[..., channel], cmap="viridis")
        style.hide_ticks(axes)
    return figure


def plot_filters(kernels: Values, max_panels: int = _MAX_PANELS) -> Figure:
    """Plot a panel per filter, all on one scale with 0 in the middle: in colour for three channels, else in gray.

    Args:
        kernels: (kernel height, kernel width, channels in, count); the mean is shown unless there are three channels.
        max_panels: Number of filters that are shown, from the first.
    """
    height, width, _, count = kernels.shape
    shown_count = min(count, max_panels)
    columns = min(shown_count, _COLUMNS)
    rows = -(-shown_count // columns)
    title = f"Filters of the first layer ({height} by {width}), {_describe_count(shown_count, count)}"
    figure = style.new_figure(max(_SIDE * columns, 4) + 0.2, _SIDE * rows + 0.5, title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[shown_count:]:
        axes.axis("off")
    for axes, pixels in zip(panels, _kernel_images(kernels[..., :shown_count]), strict=False):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1)
        style.hide_ticks(axes)
    return figure


def _kernel_images(kernels: Values) -> list[NDArray[np.float64]]:
    """Return each filter as an image (height, width[, 3]) from 0 to 1."""
    kernels = np.asarray(kernels, np.float64)
    if kernels.shape[2] != 3:
        kernels = kernels.mean(axis=2)
    largest = np.abs(kernels).max() or 1.0
    return [*np.moveaxis(kernels / largest / 2 + 0.5, -1, 0)]


def _describe_count(shown_count: int, count: int) -> str:
    return f"all {count:,}" if shown_count == count else f"{shown_count:,} of {count:,}"
