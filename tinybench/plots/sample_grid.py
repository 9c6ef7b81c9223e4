"""Images side by side: arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import style

_SIDE, _NAME = 1.05, 1.5  # inches
_CAPTION = 0.32  # inches, two lines
_LINES = 4  # of a name
_LEAST_SHARE = 0.005  # less is 0 % in words


def grid(
    rows: Sequence[NDArray[np.uint8]],
    names: Sequence[str],
    titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
) -> Figure:
    """A row of images for each name.

    Args:
        rows: For each name images (n, height, width, channels); rows may differ in length.
        names: Written before each row.
        titles: Written above the columns.
        captions: Written under the images, where they are not empty.
    """
    columns = max(len(titles), *(len(images) for images in rows))
    height = _SIDE + (_CAPTION if any(map(any, captions)) else 0)
    figure = style.figure(_SIDE * columns + _NAME + 0.2, height * len(rows) + 0.3)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for line, images, name in zip(panels, rows, names, strict=True):
        words = style.paragraph(name, _NAME, most=_LINES)
        line[0].text(
            -0.1, 0.5, words, transform=line[0].transAxes, ha="right", va="center", fontsize=style.SMALL
        )  # fmt: skip
        for axes, pixels in zip(line, images, strict=False):
            style.image(axes, pixels)
    for line, below in zip(panels, captions, strict=False):
        for axes, caption in zip(line, below, strict=False):
            if caption:
                axes.text(0.5, -0.06, caption, transform=axes.transAxes, ha="center", va="top", fontsize=style.SMALL)
    for axes, title in zip(panels[0], titles, strict=False):
        axes.set_title(title, fontsize=style.SMALL)
    return figure


def augmented(seen: NDArray[np.uint8], shares: NDArray[np.floating[Any]], classes: Sequence[str]) -> Figure:
    """Images as they are and as they are trained on.

    Args:
        seen: (images, 1 + times, height, width, channels), the first of each as it is.
        shares: Of the classes in the label of each, (images, 1 + times, classes).
        classes: Their names.
    """
    own = shares[:, 0].argmax(axis=-1)
    captions = [[_mixture(share, classes, place) for share in line] for line, place in zip(shares, own, strict=True)]
    names = [classes[place] for place in own]
    return grid([*seen], names, ["as it is", *["augmented"] * (seen.shape[1] - 1)], captions)


def _mixture(share: NDArray[np.floating[Any]], classes: Sequence[str], own: int) -> str:
    """The classes of a mixed image, the larger share first; nothing for one of its own class alone."""
    found = [place for place in np.argsort(-share, kind="stable") if share[place] >= _LEAST_SHARE]
    if found == [own]:
        return ""
    lines = (f"{100 * share[place]:.0f} % {classes[place]}" for place in found[:2])
    return "\n".join(style.name(line, _SIDE) for line in lines)
