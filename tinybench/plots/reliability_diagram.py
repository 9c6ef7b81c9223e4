"""Whether a model is right as often as it says: bins in, a figure out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tinybench.core.csv_text import as_csv
from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tinybench.evaluation.calibration import Bins

_BAR = 0.012  # of the axis
# After temperature scaling in front, with another marker: apart without colours too
_LOOKS = {"as trained": (style.ORANGE, "s", "--"), "after temperature scaling": (style.BLUE, "o", "-")}


def diagram(
    before: Bins, after: Bins | None = None, ece_before: float | None = None, ece_after: float | None = None
) -> Figure:
    """Accuracy against confidence, and below how many images each bin holds.

    Args:
        before: Of the model as it was trained.
        after: The same with its temperature scaled.
        ece_before: Expected calibration error, by the bins where None.
        ece_after: The same with the temperature scaled.
    """
    given = _given(before, after)
    errors = (ece_before, ece_after)
    figure = style.figure(5, 4.6 + 0.9 * len(given), "Confidence and accuracy")
    panels = figure.subplots(1 + len(given), 1, sharex=True, height_ratios=[4, *[0.9] * len(given)])
    top = panels[0]
    top.plot([0, 1], [0, 1], color=style.GRAY, linewidth=1, label="as often right as it says")
    for axes, (name, bins), error in zip(panels[1:], given.items(), errors, strict=False):
        colour, marker, line = _LOOKS[name]
        words = f"{name}, ECE {bins.ece if error is None else error:.1%}"
        top.plot(
            bins.confidence, bins.accuracy, color=colour, marker=marker, linestyle=line, label=words, clip_on=False
        )
        axes.bar(bins.confidence, bins.count, _BAR, color=colour)
        axes.set_ylabel("Images")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
        style.dress(axes)
    _dress(top)
    panels[-1].set_xlabel("Confidence, mean of each bin")
    figure.legend(loc="outside lower center", frameon=False)  # outside: curves may run anywhere
    return figure


def table(before: Bins, after: Bins | None = None) -> str:
    """The same data as CSV, one row a bin."""
    return as_csv(
        ["model", "confidence", "accuracy", "images"],
        (
            [name, *row]
            for name, bins in _given(before, after).items()
            for row in zip(bins.confidence, bins.accuracy, bins.count, strict=True)
        ),
    )


def _given(before: Bins, after: Bins | None) -> dict[str, Bins]:
    return {name: bins for name, bins in zip(_LOOKS, (before, after), strict=True) if bins is not None}


def _dress(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="Accuracy")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    style.dress(axes)
