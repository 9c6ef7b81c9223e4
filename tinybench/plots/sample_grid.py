"""Plot sample images in rows, original and augmented for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots import short_names, style

_SIDE, _NAME = 1.05, 1.5  # inches
_CAPTION = 0.32  # inches, two lines
_NAME_LINES = 4
_MAX_ROWS = 20
_MIN_SHARE = 0.005  # less would be written as 0 %


def plot_samples(
    rows: Sequence[NDArray[np.uint8]],
    names: Sequence[str],
    titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    title: str = "",
) -> Figure:
    """Plot a row of images for each name; of more than 20 rows the first are shown, which the title says.

    Args:
        rows: For each name the images (n, height, width, channels); rows may differ in length.
        names: Text before each row.
        titles: Titles above the columns.
        captions: By row, text under each image; empty for none.
        title: Title of the figure.
    """
    if len(rows) > _MAX_ROWS:
        title = f"{title}, " * bool(title) + f"the first {_MAX_ROWS} of {len(rows)}"
    rows, names, captions = rows[:_MAX_ROWS], names[:_MAX_ROWS], captions[:_MAX_ROWS]
    columns = max(len(titles), *(len(images) for images in rows))
    height = _SIDE + (_CAPTION if any(map(any, captions)) else 0)
    figure = style.new_figure(_SIDE * columns + _NAME + 0.2, height * len(rows) + (0.6 if title else 0.3), title)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    texts = short_names.shorten_names(names, _NAME, max_lines=_NAME_LINES)
    for row, images, text in zip(panels, rows, texts, strict=True):
        row[0].text(-0.1, 0.5, text, transform=row[0].transAxes, ha="right", va="center", fontsize=style.SMALL)
        for axes, pixels in zip(row, images, strict=False):
            style.show_image(axes, pixels)
    for row, row_captions in zip(panels, captions, strict=False):
        for axes, caption in zip(row, row_captions, strict=False):
            if caption:
                axes.text(0.5, -0.06, caption, transform=axes.transAxes, ha="center", va="top", fontsize=style.SMALL)
    for axes, title in zip(panels[0], titles, strict=False):
        axes.set_title(title, fontsize=style.SMALL)
    return figure


def plot_augmented_samples(
    images: NDArray[np.uint8], shares: NDArray[np.floating[Any]], classes: Sequence[str]
) -> Figure:
    """Plot each image followed by augmented copies of it; mixed images are captioned with their classes.

    Args:
        images: (n, 1 + copies, height, width, channels), the first of each row unchanged.
        shares: (n, 1 + copies, classes) shares of the classes in the label of each image.
        classes: Class names.
    """
    labels = shares[:, 0].argmax(axis=-1)
    names = short_names.shorten_names(classes, _SIDE - style.text_width("100 % "))
    captions = [
        [_describe_mixture(image_shares, names, label) for image_shares in row_shares]
        for row_shares, label in zip(shares, labels, strict=True)
    ]
    titles = ["original", *["augmented"] * (images.shape[1] - 1)]
    return plot_samples([*images], [classes[label] for label in labels], titles, captions)


def _describe_mixture(shares: NDArray[np.floating[Any]], names: Sequence[str], label: int) -> str:
    """Return the two classes with the largest shares of an image; empty where it consists of its own class only."""
    mixed = [index for index in np.argsort(-shares, kind="stable") if shares[index] >= _MIN_SHARE]
    if mixed == [label]:
        return ""
    return "\n".join(f"{100 * shares[index]:.0f} % {names[index]}" for index in mixed[:2])
