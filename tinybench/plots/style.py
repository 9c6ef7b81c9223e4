"""How all pictures look: colours, axes, and the words of others within a given width."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tinybench.plots.plain_text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ft2font import FT2Font

# The Okabe-Ito palette: apart for every kind of colour vision
BLUE, SKY, ORANGE, GREEN, VERMILION = "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#D55E00"
GRAY = "#999999"

SMALL, MEDIUM, LARGE = 8.0, 10.0, 12.0  # points
_FINE = 720  # dots an inch, to measure words by
_ROUNDED = 1.05  # at the resolution of screens letters are rounded to whole dots


def figure(width: float, height: float, title: str = "") -> Figure:
    """An empty figure on white, whatever the page around it.

    Args:
        width: Inches.
        height: Inches.
        title: Above all; may have several lines.
    """
    made = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    if title:
        made.suptitle(paragraph(title, width * 0.96, LARGE), fontsize=LARGE)
    return made


def dress(axes: Axes, *, grid: Literal["x", "y", "both"] = "both") -> None:
    """The spines and the grid of a plot."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.3)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL)


def image(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    """An image (height, width, 1 or 3 channels) in its own range."""
    axes.imshow(pixels.squeeze(axis=-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
    bare(axes)


def bare(axes: Axes) -> None:
    """No ticks, around an image."""
    axes.set(xticks=[], yticks=[])


def name(text: str, width: float, size: float = SMALL) -> str:
    """Words of others as the font can draw them, cut to a width.

    Args:
        text: What may hold anything; characters that the font lacks become escapes, so names stay apart.
        width: Inches that there are.
        size: Of the font, in points.
    """
    return plain(_cut(drawable(text), width, size))


def paragraph(text: str, width: float, size: float = SMALL, most: int = 8) -> str:
    """The same as `name` of words that may break into lines.

    Args:
        text: Its own lines stay apart.
        width: Inches that there are.
        size: Of the font, in points.
        most: Lines that there is room for; the last says that more are cut off.
    """
    lines = [line for given in text.splitlines() for line in _broken(drawable(given), width, size)]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} …"]
    return "\n".join(name(line, width, size) for line in lines)


def drawable(text: str) -> str:
    """Text with the characters that the font lacks as Python's escapes: matplotlib warns of each, and draws a box."""
    known = _known()
    return "".join(sign if ord(sign) in known else sign.encode("unicode_escape").decode() for sign in text)


def width_of(text: str, size: float = SMALL) -> float:
    """Inches that drawable text takes in one line, at most."""
    font = _font()
    font.set_size(size, _FINE)
    font.set_text(text, 0.0)
    return float(font.get_width_height()[0]) / 64 / _FINE * _ROUNDED  # the font counts in 64ths of a dot


def _broken(text: str, width: float, size: float) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if not lines[-1] or width_of(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _cut(text: str, width: float, size: float) -> str:
    if width_of(text, size) <= width:
        return text
    fewest, most = 0, len(text)  # the longest start that fits
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if width_of(f"{text[:middle]}…", size) <= width:
            fewest = middle
        else:
            most = middle - 1
    return f"{text[:fewest].rstrip()}…"


def _font() -> FT2Font:
    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))


@cache
def _known() -> frozenset[int]:
    return frozenset(_font().get_charmap())
