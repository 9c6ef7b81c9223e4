"""Plot images beside the maps that explain their predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE, _GAP, _NAME, _LINE = 1.6, 0.1, 1.5, 0.16  # inches
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_CLIPPED = 99  # percentile: otherwise a few pixels would leave all others dark
_DIMMED, _OPAQUE = 0.7, 0.7  # the image under a map, and a map where it is largest

_LEGEND = "Maps: black is 0; the brighter a pixel, the more it supports the class named on the left."
_OVERLAID = "{names}: laid over the grayscale image; pixels without colour do not support the class."

Maps = NDArray[np.floating[Any]]


def plot_explanations(
    images: NDArray[np.uint8],
    maps: Mapping[str, Maps],
    captions: Sequence[str],
    *,
    overlaid: Collection[str] = ("Grad-CAM",),
) -> Figure:
    """Plot a row per image: the image, then each map from black (0) to bright (its 99th percentile and above).

    Args:
        images: (n, height, width, channels).
        maps: By name of the method (n, height, width), not negative.
        captions: Text before each row; long lines are broken.
        overlaid: Methods whose maps are laid over the grayscale image.
    """
    captions = [style.wrap_text(caption, _NAME) for caption in captions]
    margin = 0.1 + max(style.text_width(line) for caption in captions for line in caption.split("\n"))
    columns, rows = 1 + len(maps), len(images)
    width = margin + (_SIDE + _GAP) * columns
    overlaid_names = ", ".join(name for name in maps if name in overlaid)
    legend = f"{_LEGEND}\n{_OVERLAID.format(names=overlaid_names)}" if overlaid_names else _LEGEND
    legend = style.wrap_text(legend, width * 0.96)
    height = (_SIDE + _GAP) * rows + 0.3 + _LINE * (legend.count("\n") + 1)
    figure = style.new_figure(width, height)
    figure.supxlabel(legend, fontsize=style.SMALL)
    panels = figure.subplots(rows, 1 + columns, squeeze=False, width_ratios=[margin, *[_SIDE] * columns])
    for row, (caption_axes, image_axes, *map_axes) in enumerate(panels):
        caption_axes.axis("off")
        # The column has a fixed width: a layout that measured the text as well would change from one draw to the next
        caption_axes.text(1, 0.5, captions[row], ha="right", va="center", fontsize=style.SMALL, in_layout=False)
        style.show_image(image_axes, images[row])
        for axes, (name, values) in zip(map_axes, maps.items(), strict=True):
            if name in overlaid:
                axes.imshow(_to_gray(images[row]) * _DIMMED, cmap="gray", vmin=0, vmax=255)
            _draw_map(axes, values[row], overlay=name in overlaid)
            style.hide_ticks(axes)
    for axes, name in zip(panels[0, 1:], ("Image", *maps), strict=True):
        axes.set_title(style.fit_text(name, _SIDE, style.MEDIUM), fontsize=style.MEDIUM)
    return figure


def _draw_map(axes: Axes, values: Maps, *, overlay: bool) -> None:
    maximum = float(np.percentile(values, _CLIPPED)) or float(values.max()) or 1.0
    if overlay:
        axes.imshow(values, cmap="inferno", vmin=0, vmax=maximum, alpha=_OPAQUE * (values / maximum).clip(0, 1))
    else:
        axes.imshow(values, cmap="inferno", vmin=0, vmax=maximum)


def _to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    return pixels[..., 0].astype(np.float64) if pixels.shape[-1] == 1 else pixels[..., :3] @ _LUMINANCE
