"""Set the common style of all plots: colours, axes, and text that fits a given width."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ft2font import FT2Font

# The Okabe-Ito palette, which can be told apart with any kind of colour vision
BLUE, SKY, ORANGE, GREEN, VERMILION = "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#D55E00"
GRAY = "#999999"

SMALL, MEDIUM, LARGE = 8.0, 10.0, 12.0  # points
_MEASURING_DPI = 720  # high, so that measured widths are precise
_NARROW = 300  # a logarithmic axis that spans a smaller ratio has room for ticks between the decades
_ROUNDING = 1.05  # at the resolution of screens glyph widths are rounded to whole pixels


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Create an empty figure with a white background.

    Args:
        width: In inches.
        height: In inches.
        title: Title above all panels; may have several lines.
    """
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    if title:
        figure.suptitle(wrap_text(title, width * 0.96, LARGE), fontsize=LARGE)
    return figure


def style_axes(axes: Axes, *, grid: Literal["x", "y", "both"] = "both") -> None:
    """Set the spines, the grid and the tick labels of a plot."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.3)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL)


def set_log_scale(axes: Axes, direction: Literal["x", "y"]) -> None:
    """Make the x or y axis of a plot logarithmic, with few ticks whose labels are plain numbers.

    Call it when the data are drawn, since the ticks depend on the limits of the axis.
    """
    (axes.set_xscale if direction == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if direction == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 3) if high < _NARROW * low else (1,), numticks=5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def show_image(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    """Draw an image (height, width, 1 or 3 channels) with the range 0..255, without ticks."""
    axes.imshow(pixels.squeeze(axis=-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
    hide_ticks(axes)


def hide_ticks(axes: Axes) -> None:
    """Remove the ticks of both axes."""
    axes.set(xticks=[], yticks=[])


def fit_text(text: str, width: float, size: float = SMALL) -> str:
    """Return text that matplotlib draws literally on one line, cut off with an ellipsis at a width.

    Dollar signs are escaped, since matplotlib would read text between two of them as mathematics.

    Args:
        text: Any text; characters that the font lacks become escapes, so that different names stay different.
        width: Available width in inches.
        size: Font size in points.
    """
    return _truncate(escape_missing_glyphs(text), width, size).replace("$", r"\$")


def wrap_text(text: str, width: float, size: float = SMALL, max_lines: int = 8) -> str:
    """Return text that matplotlib draws literally, broken into lines of at most a width.

    Args:
        text: Any text; its line breaks are kept.
        width: Available width in inches.
        size: Font size in points.
        max_lines: Maximum number of lines; the last one ends with an ellipsis where lines are dropped.
    """
    lines = [
        line for paragraph in text.splitlines() for line in break_words(escape_missing_glyphs(paragraph), width, size)
    ]
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], f"{lines[max_lines - 1]} …"]
    return "\n".join(fit_text(line, width, size) for line in lines)


def escape_missing_glyphs(text: str) -> str:
    """Replace characters that the font lacks by Python's escapes; matplotlib would warn, and draw a box for each."""
    glyphs = _font_characters()
    return "".join(
        character if ord(character) in glyphs else character.encode("unicode_escape").decode() for character in text
    )


def text_width(text: str, size: float = SMALL) -> float:
    """Return the maximum width in inches of text on one line; the font must have all its characters."""
    return sum(_character_width(character, size) for character in text)


def break_words(text: str, width: float, size: float = SMALL) -> list[str]:
    """Break text into lines that fit a width: between words, and inside a word that is longer than a line.

    Args:
        text: Text whose characters the font has.
        width: Available width in inches.
        size: Font size in points.
    """
    lines = [""]
    for token in text.split():
        longer = f"{lines[-1]} {token}".lstrip()
        if text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines += _split_word(token, width, size)
    return lines if lines[0] or len(lines) == 1 else lines[1:]


def _split_word(word: str, width: float, size: float) -> list[str]:
    """Split a word into pieces that fit a width, of at least one character each."""
    pieces = [""]
    for character in word:
        if pieces[-1] and text_width(pieces[-1] + character, size) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _truncate(text: str, width: float, size: float) -> str:
    """Return text, or the longest beginning of it that fits a width together with an ellipsis."""
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(f"{text[:middle]}…", size) <= width:
            low = middle
        else:
            high = middle - 1
    return f"{text[:low].rstrip()}…"


@cache
def _character_width(character: str, size: float) -> float:
    """Return the width of a character in inches; kerning only brings characters closer together."""
    font = _font()
    font.set_size(size, _MEASURING_DPI)
    advance = font.load_char(ord(character)).horiAdvance  # in 1/64 of a pixel
    return float(advance) / 64 / _MEASURING_DPI * _ROUNDING


def _font() -> FT2Font:
    return font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))


@cache
def _font_characters() -> frozenset[int]:
    return frozenset(_font().get_charmap())
