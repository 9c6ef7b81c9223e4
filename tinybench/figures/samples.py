"""Images side by side: arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.figures.words import plain

_SIDE = 0.9  # inches
_CAPTION = 0.3  # inches, two lines
_LONGEST_NAME = 22
_LONGEST_IN_CAPTION = 11
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
    figure = Figure(figsize=(_SIDE * columns + 2, height * len(rows) + 0.3), layout="constrained")
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
    for line, words in zip(panels, captions, strict=False):
        for axes, caption in zip(line, words, strict=False):
            if caption:
                axes.text(0.5, -0.06, caption, transform=axes.transAxes, ha="center", va="top", fontsize="xx-small")
    for axes, title in zip(panels[0], titles, strict=False):
        axes.set_title(title, fontsize="small")
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
    return "\n".join(f"{100 * share[place]:.0f} % {plain(classes[place], _LONGEST_IN_CAPTION)}" for place in found[:2])
