"""Names that a stranger may give a class, and where they are drawn."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

NAMES = (
    "$x$ 5 %",
    "\u732b",
    "cat \U0001f431\U0001fae0",
    "<b>bold</b>",
    "a\nb\tc",
    "German shepherd, German shepherd dog, German police dog, alsatian, " * 3,
    "W" * 300,
    r"\$\frac{$",
    "",
    "\udcff",  # of a folder whose name is no UTF-8
)


def draw(figure: Figure, dpi: int = 120) -> None:
    """Draw once, as a run does, so that extents are those of the stored picture; savefig would put the dots back."""
    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).draw()
