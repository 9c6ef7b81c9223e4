"""What a study found: trials in, figures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_MAP = "viridis"
_PANEL = 2.6  # inches
_ABSENT = -0.15  # height of what a trial did not draw
_FEWEST_FOR_LEVELS = 8  # points that levels can be drawn between
_LEVELS = 12
_NARROW = 300  # times its lower end: a logarithmic axis with room for more marks than whole decades


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        number: Its number.
        values: Of the objectives; of a pruned one the last value that it reported.
        pruned: It was stopped.
        drawn: Values by key.
        steps: What it reported, by epoch.
    """

    number: int
    values: tuple[float, ...]
    pruned: bool
    drawn: Mapping[str, Any]
    steps: Mapping[int, float]


@dataclass(frozen=True)
class Axis:
    """A parameter as an axis.

    Attributes:
        key: Its key.
        log: It is drawn on a logarithmic scale.
        choices: Of a categorical one; None for numbers.
    """

    key: str
    log: bool
    choices: tuple[Any, ...] | None

    def place(self, value: Any) -> float:
        """Where a value lies."""
        return float(value) if self.choices is None else float(self.choices.index(value))


def history(trials: Sequence[Trial], objective: str, *, rising: bool) -> Figure:
    """The value of each trial, and the best so far."""
    figure = style.figure(7, 4, f"{objective} by trial")
    axes = figure.subplots()
    trials = sorted(trials, key=lambda each: each.number)
    done = [each for each in trials if not each.pruned]
    pruned = [each for each in trials if each.pruned]
    axes.scatter(
        [t.number for t in done], [t.values[0] for t in done], 26, color=style.BLUE, label="complete", zorder=3
    )
    if pruned:
        axes.scatter(
            [t.number for t in pruned],
            [t.values[0] for t in pruned],
            26,
            color=style.GRAY,
            marker="x",
            label="pruned (last value)",
        )
    best = (np.maximum if rising else np.minimum).accumulate([t.values[0] for t in done])
    axes.step(
        [*(t.number for t in done), max(t.number for t in trials)],
        [*best, best[-1]],
        where="post",
        color=style.VERMILION,
        label="best so far",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _labels(axes, "Trial", objective)
    axes.legend(fontsize=style.SMALL, frameon=False)
    return figure


def curves(trials: Sequence[Trial], objective: str, best: int) -> Figure:
    """What each trial reported by epoch; the best one in colour."""
    figure = style.figure(7, 4, f"{objective} by epoch")
    axes = figure.subplots()
    for each in sorted(trials, key=lambda trial: trial.number == best):
        chosen = each.number == best
        colour = style.VERMILION if chosen else style.GRAY if each.pruned else style.SKY
        steps = sorted(each.steps)
        axes.plot(
            steps,
            [each.steps[step] for step in steps],
            color=colour,
            linewidth=2 if chosen else 1,
            alpha=1 if chosen else 0.7,
            marker="x" if each.pruned else "",
            markevery=[len(steps) - 1] if steps else None,
            markersize=5,
        )
    kinds = {f"trial {best}, the best": style.VERMILION, "complete": style.SKY}
    kinds |= {"pruned": style.GRAY} if any(each.pruned for each in trials) else {}
    handles = [axes.plot([], [], color=colour)[0] for colour in kinds.values()]
    axes.legend(handles, list(kinds), fontsize=style.SMALL, frameon=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _labels(axes, "Epoch", objective)
    return figure


def importance(shares: Mapping[str, float], objective: str, trials: int) -> Figure:
    """How much of the variation each parameter explains."""
    names = sorted(shares, key=shares.__getitem__)
    figure = style.figure(7, 1.2 + 0.35 * len(names), f"What decides {objective} (fANOVA of {trials} trials)")
    axes = figure.subplots()
    bars = axes.barh([style.name(name, 2.2) for name in names], [shares[name] for name in names], color=style.SKY)
    axes.bar_label(bars, fmt="%.2f", fontsize=style.SMALL, padding=3)
    axes.set_xlim(0, 1.08 * max(shares.values(), default=1))
    _labels(axes, "Share of the variation", "")
    style.dress(axes, grid="x")
    return figure


def slices(trials: Sequence[Trial], axes_of: Sequence[Axis], objective: str) -> Figure:
    """The value by each parameter alone."""
    columns = min(4, len(axes_of))
    rows = -(-len(axes_of) // columns)
    figure = style.figure(0.6 + _PANEL * columns, 0.5 + _PANEL * rows, f"{objective} by each parameter")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    colours = Normalize(0, max((each.number for each in trials), default=1) or 1)
    for panel, axis in zip(panels, axes_of, strict=False):
        own = [each for each in trials if axis.key in each.drawn]
        places = [axis.place(each.drawn[axis.key]) for each in own]
        shown = panel.scatter(
            places, [t.values[0] for t in own], 22, [t.number for t in own], cmap=_MAP, norm=colours, zorder=3
        )
        _scale(panel, axis, "x")
        panel.set_xlabel(style.name(axis.key, _PANEL), fontsize=style.MEDIUM)
        style.dress(panel)
    for panel in panels[len(axes_of) :]:
        panel.axis("off")
    panels[0].set_ylabel(objective, fontsize=style.MEDIUM)
    figure.colorbar(shown, ax=list(panels), label="Trial", shrink=0.8, ticks=MaxNLocator(integer=True))
    return figure


def parallel(trials: Sequence[Trial], axes_of: Sequence[Axis], objective: str, *, rising: bool) -> Figure:
    """A line a trial through its values, coloured by what it reached; what it did not draw lies below the others."""
    import matplotlib as mpl

    figure = style.figure(max(7, 1.7 * (len(axes_of) + 1)), 4.4, f"Trials by their values, coloured by {objective}")
    axes = figure.subplots()
    reached = np.array([each.values[0] for each in trials])
    colours, map_ = Normalize(reached.min(), reached.max()), mpl.colormaps[_MAP]
    columns = [_heights(axis, [each.drawn.get(axis.key) for each in trials]) for axis in axes_of]
    for place in np.argsort(reached if rising else -reached):  # the best on top
        line = [column[place] for column in columns]
        axes.plot(range(len(columns)), line, color=map_(colours(reached[place])), alpha=0.8, linewidth=1.3)
    for place, axis in enumerate(axes_of):
        axes.axvline(place, color="black", linewidth=0.8)
        own = [each.drawn[axis.key] for each in trials if axis.key in each.drawn]
        marks = _marks(axis, own) + ([(_ABSENT, "not drawn")] if len(own) < len(trials) else [])
        for height, words in marks:
            axes.annotate(
                words,
                (place, height),
                (4, 0),
                textcoords="offset points",
                fontsize=style.SMALL,
                va="center",
                bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
            )
    axes.set_xticks(range(len(axes_of)), [style.name(axis.key, 1.6) for axis in axes_of], fontsize=style.SMALL)
    axes.set(yticks=[], xlim=(-0.1, len(axes_of) - 0.6), ylim=(_ABSENT - 0.06, 1.06))
    axes.spines[:].set_visible(False)
    figure.colorbar(mpl.cm.ScalarMappable(colours, map_), ax=axes, label=objective)
    return figure


def contour(trials: Sequence[Trial], first: Axis, second: Axis, objective: str) -> Figure:
    """The value over the two parameters that matter most; levels lie between the trials, and only there."""
    figure = style.figure(6.4, 5, f"{objective} by the two parameters that matter most")
    axes = figure.subplots()
    own = [each for each in trials if {first.key, second.key} <= {*each.drawn}]
    x, y = (np.array([axis.place(each.drawn[axis.key]) for each in own]) for axis in (first, second))
    reached = np.array([each.values[0] for each in own])
    if _spread(first, x) and _spread(second, y) and len(own) >= _FEWEST_FOR_LEVELS:
        across, up = (np.log(values) if axis.log else values for axis, values in ((first, x), (second, y)))
        axes.tricontourf(_triangles(across, up, x, y), reached, _LEVELS, cmap=_MAP, alpha=0.8)
    points = axes.scatter(x, y, 30, reached, cmap=_MAP, edgecolor="white", linewidth=0.8, zorder=3)
    figure.colorbar(points, ax=axes, label=objective)
    _scale(axes, first, "x")
    _scale(axes, second, "y")
    axes.set_xlabel(first.key, fontsize=style.MEDIUM)
    axes.set_ylabel(second.key, fontsize=style.MEDIUM)
    style.dress(axes)
    return figure


def pareto(trials: Sequence[Trial], objectives: Sequence[str], front: Sequence[int], *, least: bool) -> Figure:
    """The first two objectives against each other, and the trials that no other beats, joined by steps.

    Nothing is known to lie between them. `least` of the second objective is best, else most.
    """
    figure = style.figure(6.4, 4.6, f"{objectives[0]} against {objectives[1]}")
    axes = figure.subplots()
    best = sorted((each for each in trials if each.number in front), key=lambda each: each.values[1])
    others = [each for each in trials if each.number not in front]
    axes.scatter([t.values[1] for t in others], [t.values[0] for t in others], 26, color=style.SKY, label="trials")
    axes.plot(
        [t.values[1] for t in best],
        [t.values[0] for t in best],
        color=style.VERMILION,
        marker="o",
        drawstyle="steps-post" if least else "steps-pre",
        label="none is better in both",
    )
    for each in best:
        axes.annotate(
            str(each.number), (each.values[1], each.values[0]), (4, 4), textcoords="offset points", fontsize=8
        )
    _labels(axes, objectives[1], objectives[0])
    axes.legend(fontsize=style.SMALL, frameon=False)
    return figure


def _triangles(
    across: NDArray[np.float64], up: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> Any:
    """Triangles between points as they lie on the picture, at their own coordinates."""
    from matplotlib.tri import Triangulation

    def unit(values: NDArray[np.float64]) -> Any:
        return (values - values.min()) / np.ptp(values)

    return Triangulation(x, y, Triangulation(unit(across), unit(up)).triangles)


def _spread(axis: Axis, places: NDArray[np.float64]) -> bool:
    """Whether levels can be drawn along an axis: of numbers, and of more than one."""
    return axis.choices is None and len(places) > 0 and bool(np.ptp(places) > 0)


def _scale(axes: Axes, axis: Axis, which: str) -> None:
    if axis.log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        ruler = axes.xaxis if which == "x" else axes.yaxis
        low, high = ruler.get_view_interval()
        ruler.set_major_locator(LogLocator(subs=(1, 3) if high < _NARROW * low else (1,), numticks=5))
        ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ruler.set_minor_formatter(NullFormatter())
    elif axis.choices is not None:
        names = [style.name(str(choice), 0.8) for choice in axis.choices]
        (axes.set_xticks if which == "x" else axes.set_yticks)(range(len(names)), names)
        (axes.set_xlim if which == "x" else axes.set_ylim)(-0.5, len(names) - 0.5)


def _heights(axis: Axis, values: Sequence[Any]) -> list[float]:
    """From 0 to 1; of what was not drawn, `_ABSENT`."""
    places = np.array([np.nan if value is None else axis.place(value) for value in values], dtype=float)
    places = np.log(places) if axis.log else places
    low, high = (0.0, len(axis.choices) - 1.0) if axis.choices else (np.nanmin(places), np.nanmax(places))
    found = (places - low) / (high - low) if high > low else np.where(np.isnan(places), np.nan, 0.5)
    return [float(height) for height in np.where(np.isnan(found), _ABSENT, found)]


def _marks(axis: Axis, values: Sequence[Any]) -> list[tuple[float, str]]:
    """Heights with the words at them: choices, or the least and the greatest number."""
    if axis.choices is not None:
        top = max(len(axis.choices) - 1, 1)
        return [(place / top, style.name(str(choice), 1.2)) for place, choice in enumerate(axis.choices)]
    numbers = [float(value) for value in values] or [0.0]
    low, high = min(numbers), max(numbers)
    middle = float(np.sqrt(low * high)) if axis.log else (low + high) / 2
    return [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")] if high > low else [(0.5, f"{low:.3g}")]


def _labels(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=style.MEDIUM)
    axes.set_ylabel(y, fontsize=style.MEDIUM)
    style.dress(axes)
