"""Read what a figure shows: which texts are drawn, and where."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

DPI = 120  # that of stored figures
_LEADING_NUMBER = re.compile(r"^[\d%✓✗ ]+")  # which would tell equal names apart for the test, though not for a reader
_TOLERANCE = 1.0  # pixels: glyphs are placed on whole ones


@dataclass(frozen=True)
class DrawnText:
    """A text as it is drawn.

    Attributes:
        artist: What draws it.
        box: Its extent in pixels.
    """

    artist: Text
    box: Bbox

    @property
    def text(self) -> str:
        return self.artist.get_text()

    def __str__(self) -> str:
        x0, y0, x1, y1 = self.box.extents.round()
        return f"{self.text!r} at ({x0:.0f}, {y0:.0f}) to ({x1:.0f}, {y1:.0f})"


def read_texts(figure: Figure) -> list[DrawnText]:
    """Draw a figure as it is stored, and return its texts."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    drawn: dict[int, Text] = {}
    draw = Text.draw

    def draw_and_remember(text: Text, *args: Any, **options: Any) -> None:
        if text.get_visible() and text.get_text().strip():
            drawn[id(text)] = text
        draw(text, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw_and_remember)  # labels of ticks outside the limits exist and are not drawn
        canvas.draw()
    return [DrawnText(text, Text.get_window_extent(text)) for text in drawn.values()]  # without arrows of annotations


def list_faults(figure: Figure) -> list[str]:
    """Return what cannot be read: texts that are clipped, that overlap, or that two names were shortened to."""
    texts = read_texts(figure)
    return _clipped(texts, figure) + _overlapping(texts) + _hidden(texts, figure) + _ambiguous(texts, figure)


def _clipped(texts: list[DrawnText], figure: Figure) -> list[str]:
    width, height = figure.bbox.size
    room = Bbox.from_extents(-_TOLERANCE, -_TOLERANCE, width + _TOLERANCE, height + _TOLERANCE)
    return [f"{text} is outside {width:.0f} by {height:.0f}" for text in texts if not _contains(room, text.box)]


def _overlapping(texts: list[DrawnText]) -> list[str]:
    by_left = sorted(texts, key=lambda text: text.box.x0)
    return [f"{a} overlaps {b}" for a, b in combinations(by_left, 2) if _overlap(a.box, b.box)]


def _hidden(texts: list[DrawnText], figure: Figure) -> list[str]:
    """Return texts that reach into an image of other axes than their own."""
    images = [(axes, axes.get_window_extent()) for axes in figure.axes if axes.get_images() and axes.get_visible()]
    return [
        f"{text} reaches into the image at {box}"
        for text in texts
        for axes, box in images
        if text.artist.axes is not axes and _overlap(text.box, box)
    ]


def _ambiguous(texts: list[DrawnText], figure: Figure) -> list[str]:
    """Return shortened texts that are drawn more than once by artists of one kind."""
    kinds = {
        id(label): id(axis)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
    }
    kinds |= {id(title): "title" for axes in figure.axes for title in (axes.title, axes._left_title)}
    kinds |= {id(text): "text" for axes in figure.axes for text in axes.texts}
    kinds |= {id(axis.label): "label" for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)}
    lines = [
        (kinds[id(text.artist)], _LEADING_NUMBER.sub("", line))
        for text in texts
        if id(text.artist) in kinds
        for line in text.text.split("\n")
        if "…" in line
    ]
    return [f"{line!r} stands for two names" for (kind, line), times in Counter(lines).items() if times > 1]


def _contains(room: Bbox, box: Bbox) -> bool:
    return room.x0 <= box.x0 and room.y0 <= box.y0 and box.x1 <= room.x1 and box.y1 <= room.y1


def _overlap(a: Bbox, b: Bbox) -> bool:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return width > _TOLERANCE and height > _TOLERANCE
