"""Plot images with their predicted and their true classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import short_names, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_IMAGES = 24
_COLUMNS = 6
_SIDE, _GAP, _LINE = 1.35, 0.12, 0.14  # inches
_CORRECT, _WRONG = (style.GREEN, "solid", "✓ "), (style.VERMILION, "dashed", "✗ ")


def plot_predictions(
    images: NDArray[np.uint8],
    true: Sequence[str],
    predicted: Sequence[str],
    confidence: NDArray[np.floating[Any]],
    title: str,
) -> Figure:
    """Plot images with the predicted class and its probability, and the true class where it differs.

    Correct predictions have a tick and a solid green frame, wrong ones a cross and a dashed red frame.

    Args:
        images: (n, height, width, channels); the first 24 are shown.
        true: Name of the true class of each image.
        predicted: Name of the predicted class of each image.
        confidence: (n,) probability of the predicted class.
        title: Title of the figure.
    """
    shown_count = min(len(images), _MAX_IMAGES)
    columns = min(max(shown_count, 3), _COLUMNS)
    rows = max(-(-shown_count // columns), 1)
    lines = 1 if list(true[:shown_count]) == list(predicted[:shown_count]) else 2
    height = (_SIDE + _LINE * lines + _GAP) * rows + 0.45
    figure = style.new_figure((_SIDE + _GAP) * columns + 0.2, height, title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[shown_count:]:
        axes.axis("off")
    names = dict(zip(both := [*true[:shown_count], *predicted[:shown_count]], _shorten(both), strict=True))
    for axes, pixels, name, answer, share in zip(panels, images, true, predicted, confidence, strict=False):
        _draw_prediction(axes, pixels, names[name], names[answer], share)
    if not shown_count:
        panels[1].text(0.5, 0.5, "none", ha="center", va="center")
    return figure


def _shorten(names: Sequence[str]) -> list[str]:
    """Return names that fit above an image, with the mark before them and the probability behind them."""
    return short_names.shorten_names(names, _SIDE - style.text_width(f"{_WRONG[2]} 100%"))


def _draw_prediction(axes: Axes, pixels: NDArray[np.uint8], true: str, predicted: str, confidence: float) -> None:
    colour, line, mark = _CORRECT if true == predicted else _WRONG
    style.show_image(axes, pixels)
    for spine in axes.spines.values():
        spine.set(color=colour, linestyle=line, linewidth=2.5)
    caption = f"{mark}{predicted} ({confidence:.0%})"
    if true != predicted:
        caption += f"\nis {true}"
    axes.set_title(caption, fontsize=style.SMALL, loc="left", pad=4)
