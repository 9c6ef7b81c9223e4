"""Plot the accuracy of models against their cost, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from tinybench.core.csv_text import to_csv
from tinybench.plots import point_labels, short_names, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LARGEST_AREA, _SMALLEST_AREA = 350.0, 25.0  # square points; the largest is that of the most memory
_NAME, _PANEL, _HEIGHT, _LINE = 3.4, 4.2, 4.2, 0.17  # inches
_COSTS = ("latency", "size")
_MAX_LISTED = 40  # the names of more would make a figure too high to see


@dataclass(frozen=True)
class ParetoPoint:
    """The accuracy and the cost of a model.

    Attributes:
        name: Shown to the user.
        accuracy: Accuracy on the test images.
        accuracy_low: Lower end of its 95 % interval.
        accuracy_high: Upper end of its 95 % interval.
        latency: Median latency in milliseconds per image.
        latency_low: Lower end of its 95 % interval.
        latency_high: Upper end of its 95 % interval.
        size: Size of the weights in megabytes.
        memory: Peak memory in megabytes.
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


def plot_pareto_front(points: Sequence[ParetoPoint]) -> Figure:
    """Plot accuracy by latency and by size; the area of a point shows its memory, and a line joins the Pareto front.

    Args:
        points: At least one, all measured on one machine.
    """
    costs = [np.array([getattr(point, cost) for point in points]) for cost in _COSTS]
    listed = _choose_listed(points, costs)
    lines = _legend_lines(points, listed)
    height = max(_HEIGHT, _LINE * len(lines) + 1)
    figure = style.new_figure(2 * _PANEL + _NAME, height, "Accuracy and cost")
    latency_axes, size_axes, legend = figure.subplots(1, 3, width_ratios=[_PANEL, _PANEL, _NAME])
    errors = np.array([[point.latency - point.latency_low, point.latency_high - point.latency] for point in points]).T
    _draw_panel(latency_axes, points, costs[0], errors, "Latency per image, ms (p50)")
    _draw_panel(size_axes, points, costs[1], None, "Weights, MB")
    legend.axis("off")
    # Not in the layout, which would otherwise make the panels narrower for a name that fits its column
    legend.text(0, 1, "\n".join(lines), va="top", fontsize=style.SMALL, linespacing=1.5, in_layout=False)
    largest = max(point.memory for point in points)
    note = f"Area: peak memory, at most {largest:,.0f} MB. Bars: 95 % intervals. Line: no cheaper model is as accurate."
    figure.supxlabel(style.wrap_text(note, 2 * _PANEL), fontsize=style.SMALL)
    for axes, values in ((latency_axes, costs[0]), (size_axes, costs[1])):
        positions = [(float(values[index]), points[index].accuracy) for index in listed]
        point_labels.label_points(axes, positions, [str(index + 1) for index in listed])
    return figure


def pareto_front_csv(points: Sequence[ParetoPoint]) -> str:
    """Return the points as CSV, one row per model, and whether each is on the front by latency and by size."""
    accuracies = [point.accuracy for point in points]
    fronts = [find_pareto_front([getattr(point, cost) for point in points], accuracies) for cost in _COSTS]
    names = [field.name for field in fields(ParetoPoint)]
    rows = (
        [*(getattr(point, name) for name in names), *(index in front for front in fronts)]
        for index, point in enumerate(points)
    )
    return to_csv([*names, *(f"best_by_{cost}" for cost in _COSTS)], rows)


def find_pareto_front(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the indices of the points more accurate than all that cost as much or less, the cheapest first."""
    front: list[int] = []
    for index in sorted(range(len(costs)), key=lambda index: (costs[index], -accuracies[index])):
        if not front or accuracies[index] > accuracies[front[-1]]:
            front.append(index)
    return front


def _choose_listed(points: Sequence[ParetoPoint], costs: Sequence[NDArray[np.float64]]) -> list[int]:
    """Return the indices of the points that have a number: all of few, else those on a front and the most accurate."""
    accuracies = [point.accuracy for point in points]
    fronts = {index for values in costs for index in find_pareto_front(values.tolist(), accuracies)}
    order = sorted(range(len(points)), key=lambda index: (index not in fronts, -accuracies[index]))
    return sorted(order[:_MAX_LISTED])


def _legend_lines(points: Sequence[ParetoPoint], listed: Sequence[int]) -> list[str]:
    names = short_names.shorten_names([points[index].name for index in listed], _NAME - 0.4)
    lines = [f"{index + 1}  {name}" for index, name in zip(listed, names, strict=True)]
    absent = len(points) - len(listed)
    return [*lines, f"and {absent:,} others without a number"] if absent else lines


def _draw_panel(
    axes: Axes,
    points: Sequence[ParetoPoint],
    costs: NDArray[np.float64],
    cost_errors: NDArray[np.float64] | None,
    label: str,
) -> None:
    accuracy = np.array([point.accuracy for point in points])
    errors = np.array(
        [[point.accuracy - point.accuracy_low, point.accuracy_high - point.accuracy] for point in points]
    ).T
    memory = np.array([point.memory for point in points])
    front = find_pareto_front(costs.tolist(), accuracy.tolist())
    axes.plot(costs[front], accuracy[front], color=style.VERMILION, linewidth=1.2, zorder=1)
    axes.errorbar(costs, accuracy, errors, cost_errors, fmt="none", ecolor="black", elinewidth=0.8, capsize=2, zorder=3)
    area = np.maximum(_LARGEST_AREA * memory / memory.max(), _SMALLEST_AREA)
    axes.scatter(costs, accuracy, area, color=style.SKY, edgecolor=style.BLUE, alpha=0.6, zorder=2)
    axes.margins(0.15)
    if costs.max() > 10 * costs.min() > 0:
        style.set_log_scale(axes, "x")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(label, fontsize=style.MEDIUM)
    axes.set_ylabel("Top-1 accuracy on test images", fontsize=style.MEDIUM)
    style.style_axes(axes)
