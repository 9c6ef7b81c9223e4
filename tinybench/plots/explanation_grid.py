"""Where a network looks: images and maps in, a figure out."""

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
_CLIPPED = 99  # percentile: a few pixels would leave the others dark
_DIMMED, _OPAQUE = 0.7, 0.7  # the image under a map, and a map where it is largest

_LEGEND = "Maps: black is nothing, the brighter a pixel the more it does for the class that is named."
_OVERLAID = "{names}: laid over the image in gray; what is left dark does nothing."

Maps = NDArray[np.floating[Any]]


def panels(
    images: NDArray[np.uint8],
    maps: Mapping[str, Maps],
    captions: Sequence[str],
    *,
    overlaid: Collection[str] = ("Grad-CAM",),
) -> Figure:
    """A row an image: as it is, then each map, from black (0) to bright (its 99th percentile and above), and a legend.

    The data are the arguments.

    Args:
        images: (n, height, width, channels).
        maps: By the method's name (n, height, width), from 0 up.
        captions: Before each row; what is too long breaks into lines.
        overlaid: Methods whose maps are laid over the gray image.
    """
    words = [style.paragraph(caption, _NAME) for caption in captions]
    room = 0.1 + max(style.width_of(line) for caption in words for line in caption.split("\n"))
    columns, rows = 1 + len(maps), len(images)
    width = room + (_SIDE + _GAP) * columns
    legend = style.paragraph(_legend([name for name in maps if name in overlaid]), width * 0.96)
    height = (_SIDE + _GAP) * rows + 0.3 + _LINE * (legend.count("\n") + 1)
    figure = style.figure(width, height)
    figure.supxlabel(legend, fontsize=style.SMALL)
    drawn = figure.subplots(rows, 1 + columns, squeeze=False, width_ratios=[room, *[_SIDE] * columns])
    for place, (first, whole, *line) in enumerate(drawn):
        first.axis("off")
        # Its column has its width: a layout that measured it too would move it from one drawing to the next
        first.text(1, 0.5, words[place], ha="right", va="center", fontsize=style.SMALL, in_layout=False)
        style.image(whole, images[place])
        for axes, (name, values) in zip(line, maps.items(), strict=True):
            if name in overlaid:
                axes.imshow(_gray(images[place]) * _DIMMED, cmap="gray", vmin=0, vmax=255)
            _draw(axes, values[place], overlay=name in overlaid)
            style.bare(axes)
    for axes, name in zip(drawn[0, 1:], ("Image", *maps), strict=True):
        axes.set_title(style.name(name, _SIDE, style.MEDIUM), fontsize=style.MEDIUM)
    return figure


def _legend(overlaid: Sequence[str]) -> str:
    return "\n".join([_LEGEND, _OVERLAID.format(names=", ".join(overlaid))] if overlaid else [_LEGEND])


def _draw(axes: Axes, values: Maps, *, overlay: bool) -> None:
    most = float(np.percentile(values, _CLIPPED)) or float(values.max()) or 1.0
    if overlay:
        axes.imshow(values, cmap="inferno", vmin=0, vmax=most, alpha=_OPAQUE * (values / most).clip(0, 1))
    else:
        axes.imshow(values, cmap="inferno", vmin=0, vmax=most)


def _gray(pixels: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    return pixels[..., 0].astype(np.float64) if pixels.shape[-1] == 1 else pixels[..., :3] @ _LUMINANCE
