"""Plot the feature maps of a layer, and the filters of the first convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import style

_MAX_MAPS, _MAX_FILTERS = 32, 64
_COLUMNS, _FEW_COLUMNS = 8, 4  # the second for up to 16 panels, which are larger
_SIDE, _LARGE_SIDE = 0.75, 1.2  # inches
_IMAGE_SPAN = 2  # panels that the image is wide and high
_MIN_WIDTH = 4  # inches, for the title

Values = NDArray[np.floating[Any]]


def plot_feature_maps(image: NDArray[np.uint8], maps: Values, title: str, max_panels: int = _MAX_MAPS) -> Figure:
    """Plot the image, then the channels of the layer that vary most, each from its minimum (dark) to its maximum.

    Dead channels, whose output is the same at every pixel, have no panel; the title says how many there are.

    Args:
        image: (height, width, channels) input of the network.
        maps: (h, w, channels) output of the layer.
        title: Title of the figure.
        max_panels: Number of channels that are shown.
    """
    strength = np.ptp(maps, axis=(0, 1)) if maps[..., 0].size > 1 else np.abs(maps[0, 0])
    live = np.flatnonzero(strength)
    shown = live[np.argsort(-maps[..., live].std(axis=(0, 1)), kind="stable")][:max_panels]
    columns, side = _grid(len(shown))
    rows = max(-(-len(shown) // columns), _IMAGE_SPAN)
    title = f"{title}, {_describe_channels(len(shown), len(live), maps.shape[-1])}"
    figure = style.new_figure(max(side * (columns + _IMAGE_SPAN), _MIN_WIDTH) + 0.3, side * rows + 0.45, title)
    grid = figure.add_gridspec(rows, _IMAGE_SPAN + columns)
    axes = figure.add_subplot(grid[:_IMAGE_SPAN, :_IMAGE_SPAN])
    style.show_image(axes, image)
    for panel, channel in enumerate(shown):
        axes = figure.add_subplot(grid[panel // columns, _IMAGE_SPAN + panel % columns])
        axes.imshow(maps[..., channel], cmap="viridis")
        style.hide_ticks(axes)
    return figure


def plot_filters(kernels: Values, max_panels: int = _MAX_FILTERS) -> Figure:
    """Plot a panel per filter, all on one scale with 0 in the middle: in colour for three channels, else in gray.

    Args:
        kernels: (kernel height, kernel width, channels in, count); the mean is shown unless there are three channels.
        max_panels: Number of filters that are shown, from the first.
    """
    height, width, _, count = kernels.shape
    shown_count = min(count, max_panels)
    columns, side = _grid(shown_count)
    rows = -(-shown_count // columns)
    title = f"Filters of the first layer ({height} by {width}), {_describe_count(shown_count, count)}"
    figure = style.new_figure(max(side * columns, _MIN_WIDTH) + 0.2, side * rows + 0.5, title)
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


def _grid(panels: int) -> tuple[int, float]:
    """Return the number of columns, and the side of a panel in inches."""
    few = panels <= _FEW_COLUMNS**2
    return max(min(panels, _FEW_COLUMNS if few else _COLUMNS), 1), _LARGE_SIDE if few else _SIDE


def _describe_channels(shown_count: int, live_count: int, count: int) -> str:
    dead = count - live_count
    if dead == count:
        return f"all {count:,} channels are dead"
    strongest = "the strongest " if shown_count < live_count else ""
    text = f"{strongest}{_describe_count(shown_count, count)} channels"
    return text + (f", {dead:,} {'is' if dead == 1 else 'are'} dead" if dead else "")


def _describe_count(shown_count: int, count: int) -> str:
    return f"all {count:,}" if shown_count == count else f"{shown_count:,} of {count:,}"
