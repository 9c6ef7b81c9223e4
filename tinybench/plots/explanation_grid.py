"""Plot images beside the maps that explain their predictions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import short_names, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE, _GAP, _NAME, _LINE, _TITLE = 1.6, 0.1, 1.5, 0.16, 0.3  # inches
_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_MAX_ROWS = 24
_CAPTION_LINES = 4  # of each line of a caption, so that two stay within the height of a row
_CLIPPED = 99  # percentile: otherwise a few pixels would leave all others dark
# Colours of an overlaid map, of equal brightness from none to most and with any kind of colour vision; without the ends
# of the colourmap, which are dark
_OVERLAY_COLOURS, _FIRST_COLOUR, _LAST_COLOUR = "RdYlBu_r", 0.08, 0.92
_CONSTANT = 0.95  # a map whose minimum is this share of its maximum is the same everywhere
_DARKEST = 0.5  # brightness of an overlaid map on black pixels, so that its colour can be seen there, too

_LEGEND = "{names}: black is 0; the brighter a pixel, the more the score of the class on the left depends on it."
_OVERLAID = "{names}: red pixels support that class most, yellow ones half as much, blue ones not at all."

Maps = NDArray[np.floating[Any]]


def plot_explanations(
    images: NDArray[np.uint8],
    maps: Mapping[str, Maps],
    captions: Sequence[str],
    *,
    overlaid: Collection[str] = ("Grad-CAM",),
) -> Figure:
    """Plot a row per image, of at most 24: the image, then each map from 0 to its 99th percentile.

    Maps are drawn from black to bright, and overlaid ones as the colour, from blue to red, of the grayscale image.

    Args:
        images: (n, height, width, channels).
        maps: By name of the method (n, height, width), not negative.
        captions: Text before each row; long lines are broken, and shortened by what they have in common.
        overlaid: Methods whose maps colour the image.
    """
    given = len(images)
    images, captions = images[:_MAX_ROWS], _break_captions(captions)[:_MAX_ROWS]
    margin = 0.1 + max(style.text_width(line) for caption in captions for line in caption.split("\n"))
    columns, rows = 1 + len(maps), len(images)
    width = margin + (_SIDE + _GAP) * columns + _GAP
    legend = _describe_maps(maps, overlaid)
    legend += f"\nThe first {_MAX_ROWS} of {given} images." if given > _MAX_ROWS else ""
    legend = style.wrap_text(legend, width * 0.96)
    legend_height = _LINE * (legend.count("\n") + 1) + 0.15
    height = _TITLE + (_SIDE + _GAP) * rows - _GAP + legend_height
    figure = style.new_figure(width, height)
    figure.set_layout_engine("none")  # all sizes are known, and to find them takes seconds for many panels
    figure.text(0.5, 0.05 / height, legend, ha="center", va="bottom", fontsize=style.SMALL)
    place = {"left": 0, "right": 1 - _GAP / width, "top": 1 - _TITLE / height, "bottom": legend_height / height}
    gaps = {"wspace": _GAP * (1 + columns) / (width - _GAP * (1 + columns)), "hspace": _GAP / _SIDE}
    panels = figure.subplots(
        rows, 1 + columns, squeeze=False, width_ratios=[margin, *[_SIDE] * columns], gridspec_kw=place | gaps
    )
    for row, (caption_axes, image_axes, *map_axes) in enumerate(panels):
        caption_axes.axis("off")
        caption_axes.text(1, 0.5, captions[row], ha="right", va="center", fontsize=style.SMALL)
        style.show_image(image_axes, images[row])
        for axes, (name, values) in zip(map_axes, maps.items(), strict=True):
            if name in overlaid:
                _draw_overlay(axes, images[row], values[row])
            else:
                axes.imshow(values[row], cmap="inferno", vmin=0, vmax=_maximum(values[row]))
            style.hide_ticks(axes)
    for axes, name in zip(panels[0, 1:], ("Image", *maps), strict=True):
        axes.set_title(style.fit_text(name, _SIDE, style.MEDIUM), fontsize=style.MEDIUM)
    return figure


def _break_captions(captions: Sequence[str]) -> list[str]:
    """Return captions whose lines fit before a row."""
    paragraphs = [caption.splitlines() or [""] for caption in captions]
    flat = [line for lines in paragraphs for line in lines]
    texts = iter(short_names.shorten_names(flat, _NAME, max_lines=_CAPTION_LINES))
    return ["\n".join(next(texts) for _ in lines) for lines in paragraphs]


def _describe_maps(names: Iterable[str], overlaid: Collection[str]) -> str:
    """Return what the colours mean, in a line for each kind of map."""
    kinds = {_LEGEND: [name for name in names if name not in overlaid]}
    kinds[_OVERLAID] = [name for name in names if name in overlaid]
    return "\n".join(text.format(names=", ".join(members)) for text, members in kinds.items() if members)


def _draw_overlay(axes: Axes, pixels: NDArray[np.uint8], values: Maps) -> None:
    """Draw an image in the colours of a map, or in gray with a note where the map points at nothing."""
    if values.min() < _CONSTANT * values.max():
        axes.imshow(_colour(pixels, values / _maximum(values)))
        return
    style.show_image(axes, np.rint(_to_gray(pixels)).astype(np.uint8)[..., None])
    text = "the same everywhere" if values.any() else "nothing supports it"
    box = {"facecolor": "white", "linewidth": 0, "pad": 1.5}
    axes.text(0.5, 0.03, text, transform=axes.transAxes, ha="center", va="bottom", fontsize=style.SMALL, bbox=box)


def _maximum(values: Maps) -> float:
    """Return the value from which on a map has its last colour."""
    return float(np.percentile(values, _CLIPPED)) or float(values.max()) or 1.0


def _colour(pixels: NDArray[np.uint8], shares: Maps) -> NDArray[np.float64]:
    """Return an image (height, width, 3) in 0..1 with the colour of a map and the brightness of the pixels."""
    colours = mpl.colormaps[_OVERLAY_COLOURS](_FIRST_COLOUR + (_LAST_COLOUR - _FIRST_COLOUR) * shares.clip(0, 1))
    brightness = _DARKEST + (1 - _DARKEST) * _to_gray(pixels) / 255
    coloured: NDArray[np.float64] = colours[..., :3] * brightness[..., None]
    return coloured


def _to_gray(pixels: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
    return pixels[..., 0].astype(np.float64) if pixels.shape[-1] == 1 else pixels[..., :3] @ _LUMINANCE
