"""Images with what a model says of them: arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 24
_COLUMNS = 6
_SIDE, _GAP, _LINE = 1.35, 0.12, 0.14  # inches
_RIGHT, _WRONG = (style.GREEN, "solid"), (style.VERMILION, "dashed")


def grid(
    images: NDArray[np.uint8],
    true: Sequence[str],
    predicted: Sequence[str],
    confidence: NDArray[np.floating[Any]],
    title: str,
) -> Figure:
    """Images with the predicted class and its probability, and the true class where it is another.

    What is right has a tick and a solid green frame, what is wrong a cross and a dashed red one. The data are the
    arguments.

    Args:
        images: (n, height, width, channels); the first 24 are shown.
        true: Name of the class of each.
        predicted: Name of the class that the model gives each.
        confidence: (n,) probability of the predicted class.
        title: Above all.
    """
    shown = min(len(images), _MOST)
    columns = min(max(shown, 3), _COLUMNS)
    rows = max(-(-shown // columns), 1)
    lines = 1 if list(true[:shown]) == list(predicted[:shown]) else 2
    height = (_SIDE + _LINE * lines + _GAP) * rows + 0.45
    figure = style.figure((_SIDE + _GAP) * columns + 0.2, height, title)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[shown:]:
        axes.axis("off")
    for axes, *given in zip(panels, images, true, predicted, confidence, strict=False):
        _draw(axes, *given)
    if not shown:
        panels[1].text(0.5, 0.5, "none", ha="center", va="center")
    return figure


def _draw(axes: Axes, pixels: NDArray[np.uint8], true: str, predicted: str, confidence: float) -> None:
    right = true == predicted
    colour, line = _RIGHT if right else _WRONG
    style.image(axes, pixels)
    for spine in axes.spines.values():
        spine.set(color=colour, linestyle=line, linewidth=2.5)
    sign, share = "✓ " if right else "✗ ", f" {confidence:.0%}"
    room = _SIDE - style.width_of(sign + share)
    caption = f"{sign}{style.name(predicted, room)}{share}"
    if not right:
        caption += f"\nis {style.name(true, _SIDE - 0.15)}"
    axes.set_title(caption, fontsize=style.SMALL, loc="left", pad=4)
