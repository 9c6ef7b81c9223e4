"""Accuracy against what it costs: points in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tinybench.core.csv_text import as_csv
from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST = 350.0  # square points, of the most memory
_LEAST = 25.0
_NAME, _PANEL, _HEIGHT, _LINE = 3.4, 4.2, 4.2, 0.17  # inches


@dataclass(frozen=True)
class Point:
    """A model.

    Attributes:
        name: For people.
        accuracy: Share of test images, with the ends of its 95 % interval.
        accuracy_low: Lower end.
        accuracy_high: Upper end.
        latency: Milliseconds an image, the median, with the ends of its 95 % interval.
        latency_low: Lower end.
        latency_high: Upper end.
        size: Megabytes of weights.
        memory: Megabytes at the peak.
    """

    name: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    latency: float
    latency_low: float
    latency_high: float
    size: float
    memory: float


def tradeoff(points: Sequence[Point]) -> Figure:
    """Accuracy by latency and by size; the area of a point is its memory, and a line joins those that none beats.

    Args:
        points: At least one, all measured on one machine.
    """
    names = [f"{number}  {style.name(each.name, _NAME - 0.4)}" for number, each in enumerate(points, 1)]
    height = max(_HEIGHT, _LINE * len(names) + 1)
    figure = style.figure(2 * _PANEL + _NAME, height, "What accuracy costs")
    latency, size, legend = figure.subplots(1, 3, width_ratios=[_PANEL, _PANEL, _NAME])
    bars = np.array([[each.latency - each.latency_low, each.latency_high - each.latency] for each in points]).T
    _panel(latency, points, np.array([each.latency for each in points]), bars, "Latency of an image, ms (p50)")
    _panel(size, points, np.array([each.size for each in points]), None, "Weights, MB")
    legend.axis("off")
    legend.text(0, 1, "\n".join(names), va="top", fontsize=style.SMALL, linespacing=1.5)
    most = max(each.memory for each in points)
    words = f"Area: memory at the peak, at most {most:,.0f} MB. Bars: 95 % intervals. Line: no cheaper one is as good."
    figure.supxlabel(style.paragraph(words, 2 * _PANEL), fontsize=style.SMALL)
    return figure


def table(points: Sequence[Point]) -> str:
    """The same data as CSV, one row a model, and whether a cheaper one is as good by latency and by size."""
    fronts = [front([getattr(each, axis) for each in points], [each.accuracy for each in points]) for axis in _AXES]
    names = [each.name for each in fields(Point)]
    rows = (
        [*(getattr(each, name) for name in names), *(place in found for found in fronts)]
        for place, each in enumerate(points)
    )
    return as_csv([*names, *(f"best_by_{axis}" for axis in _AXES)], rows)


_AXES = ("latency", "size")


def front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Places of those that none beats, the cheapest first: each is more accurate than all that cost as much or less."""
    found: list[int] = []
    for place in sorted(range(len(costs)), key=lambda place: (costs[place], -accuracies[place])):
        if not found or accuracies[place] > accuracies[found[-1]]:
            found.append(place)
    return found


def _panel(
    axes: Axes, points: Sequence[Point], costs: NDArray[np.float64], bars: NDArray[np.float64] | None, label: str
) -> None:
    accuracy = np.array([each.accuracy for each in points])
    ends = np.array([[each.accuracy - each.accuracy_low, each.accuracy_high - each.accuracy] for each in points]).T
    memory = np.array([each.memory for each in points])
    best = front(costs.tolist(), accuracy.tolist())
    axes.plot(costs[best], accuracy[best], color=style.VERMILION, linewidth=1.2, zorder=1)
    axes.errorbar(costs, accuracy, ends, bars, fmt="none", ecolor="black", elinewidth=0.8, capsize=2, zorder=3)
    area = np.maximum(_LARGEST * memory / memory.max(), _LEAST)
    axes.scatter(costs, accuracy, area, color=style.SKY, edgecolor=style.BLUE, alpha=0.6, zorder=2)
    for number, (cost, share) in enumerate(zip(costs, accuracy, strict=True), 1):
        axes.annotate(str(number), (cost, share), (4, 4), textcoords="offset points", fontsize=style.MEDIUM, zorder=4)
    if costs.max() > 10 * costs.min() > 0:
        axes.set_xscale("log")
    axes.margins(0.15)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(label, fontsize=style.MEDIUM)
    axes.set_ylabel("Top-1 accuracy on test images", fontsize=style.MEDIUM)
    style.dress(axes)
