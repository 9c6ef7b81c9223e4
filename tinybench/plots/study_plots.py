"""Plot the trials of a study; the functions are named as in `optuna.visualization`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinybench.plots import point_labels, short_names, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_COLOURMAP = "viridis"
_PANEL, _KEY = 2.6, 2.0  # inches of a panel, and of a name below it
_LABEL = 3.0  # inches of the name of an axis
_CHOICE, _LINE = 0.8, 0.16  # inches that the name of a choice may be wide, and is high
_MAX_PARAMETERS, _MAX_COORDINATES, _MAX_BARS = 12, 10, 30
_MAX_CHOICES = 15  # whose names fit beside a vertical axis
_ABSENT = -0.15  # height, on axes from 0 to 1, of trials that do not have a parameter
_MIN_CONTOUR_POINTS = 8
_LEVELS = 12


@dataclass(frozen=True)
class StudyTrial:
    """A trial, as the plots need it.

    Attributes:
        number: Number of the trial.
        values: Values of the objectives; of a pruned trial the last value that it reported.
        pruned: Whether the trial was stopped early.
        params: Suggested values by key.
        intermediate_values: Reported values by epoch.
    """

    number: int
    values: tuple[float, ...]
    pruned: bool
    params: Mapping[str, Any]
    intermediate_values: Mapping[int, float]


@dataclass(frozen=True)
class ParameterAxis:
    """A parameter as the axis of a plot.

    Attributes:
        key: Key of the parameter.
        log: Whether the axis is logarithmic.
        choices: The choices of a categorical parameter; None for numbers.
    """

    key: str
    log: bool
    choices: tuple[Any, ...] | None

    def position(self, value: Any) -> float:
        """Return the coordinate of a value: a number itself, a choice by its index."""
        return float(value) if self.choices is None else float(self.choices.index(value))


def plot_optimization_history(trials: Sequence[StudyTrial], objective: str, *, maximize: bool) -> Figure:
    """Plot the value of each trial, and the best value so far."""
    figure = style.new_figure(7, 4, f"{objective} by trial")
    axes = figure.subplots()
    trials = sorted(trials, key=lambda trial: trial.number)
    complete = [trial for trial in trials if not trial.pruned]
    pruned = [trial for trial in trials if trial.pruned]
    numbers, values = [trial.number for trial in complete], [trial.values[0] for trial in complete]
    axes.scatter(numbers, values, 26, color=style.BLUE, label="complete", zorder=3)
    if pruned:
        axes.scatter(
            [trial.number for trial in pruned],
            [trial.values[0] for trial in pruned],
            26,
            color=style.GRAY,
            marker="x",
            label="pruned (last value)",
        )
    best = (np.maximum if maximize else np.minimum).accumulate(values)
    axes.step(
        [*numbers, max(trial.number for trial in trials)],
        [*best, best[-1]],
        where="post",
        color=style.VERMILION,
        label="best so far",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label_axes(axes, "Trial", style.fit_text(objective, _LABEL, style.MEDIUM))
    axes.legend(fontsize=style.SMALL, frameon=False)
    return figure


def plot_intermediate_values(trials: Sequence[StudyTrial], objective: str, best: int) -> Figure:
    """Plot the values that each trial reported by epoch, highlighting the trial with the number `best`."""
    figure = style.new_figure(7, 4, f"{objective} by epoch")
    axes = figure.subplots()
    for trial in sorted(trials, key=lambda trial: trial.number == best):
        is_best = trial.number == best
        colour = style.VERMILION if is_best else style.GRAY if trial.pruned else style.SKY
        epochs = sorted(trial.intermediate_values)
        axes.plot(
            epochs,
            [trial.intermediate_values[epoch] for epoch in epochs],
            color=colour,
            linewidth=2 if is_best else 1,
            alpha=1 if is_best else 0.7,
            marker="x" if trial.pruned else "",
            markevery=[len(epochs) - 1] if epochs else None,
            markersize=5,
        )
    colours = {f"trial {best}, the best": style.VERMILION, "complete": style.SKY}
    colours |= {"pruned": style.GRAY} if any(trial.pruned for trial in trials) else {}
    handles = [axes.plot([], [], color=colour)[0] for colour in colours.values()]
    axes.legend(handles, list(colours), fontsize=style.SMALL, frameon=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label_axes(axes, "Epoch", style.fit_text(objective, _LABEL, style.MEDIUM))
    return figure


def plot_param_importances(importances: Mapping[str, float], objective: str, trials: int) -> Figure:
    """Plot a bar per parameter, the most important on top.

    Args:
        importances: By key the fraction of the variance of the objective that the parameter explains.
        objective: Name of the objective.
        trials: Number of trials that the importances were computed from.
    """
    keys = sorted(importances, key=importances.__getitem__)[-_MAX_BARS:]
    title = f"Importance of parameters for {objective} (fANOVA of {trials} trials)"
    title += f"\nThe {len(keys)} most important of {len(importances)}" if len(keys) < len(importances) else ""
    figure = style.new_figure(7, 1.4 + 0.35 * len(keys), title)
    axes = figure.subplots()
    bars = axes.barh(range(len(keys)), [importances[key] for key in keys], color=style.SKY)
    axes.set_yticks(range(len(keys)), short_names.shorten_names(keys, 2.2))
    axes.bar_label(bars, fmt="%.2f", fontsize=style.SMALL, padding=3)
    axes.set_xlim(0, 1.08 * max(importances.values(), default=1))
    _label_axes(axes, "Share of the variance", "")
    style.style_axes(axes, grid="x")
    return figure


def plot_slice(trials: Sequence[StudyTrial], parameters: Sequence[ParameterAxis], objective: str) -> Figure:
    """Plot the value of each trial by each parameter, in a panel for each of the first 12 parameters."""
    title = f"{objective} by each parameter{_describe_rest(parameters, _MAX_PARAMETERS)}"
    parameters = parameters[:_MAX_PARAMETERS]
    columns = min(4, len(parameters))
    rows = -(-len(parameters) // columns)
    figure = style.new_figure(0.6 + _PANEL * columns, 0.5 + _PANEL * rows, title)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    norm = Normalize(0, max((trial.number for trial in trials), default=1) or 1)
    keys = short_names.shorten_names([parameter.key for parameter in parameters], _KEY, style.MEDIUM)
    for panel, parameter, key in zip(panels, parameters, keys, strict=False):
        having = [trial for trial in trials if parameter.key in trial.params]
        positions = [parameter.position(trial.params[parameter.key]) for trial in having]
        values, numbers = [trial.values[0] for trial in having], [trial.number for trial in having]
        points = panel.scatter(positions, values, 22, numbers, cmap=_COLOURMAP, norm=norm, zorder=3)
        _scale_axis(panel, parameter, "x")
        panel.set_xlabel(key, fontsize=style.MEDIUM)
        style.style_axes(panel)
    for panel in panels[len(parameters) :]:
        panel.axis("off")
    figure.supylabel(style.fit_text(objective, _KEY, style.MEDIUM), fontsize=style.MEDIUM)
    figure.colorbar(points, ax=list(panels), label="Trial", shrink=0.8, ticks=MaxNLocator(integer=True))
    return figure


def plot_parallel_coordinate(
    trials: Sequence[StudyTrial], parameters: Sequence[ParameterAxis], objective: str, *, maximize: bool
) -> Figure:
    """Plot a line per trial through its parameters, coloured by its value, the best trial on top.

    The first 10 parameters are shown. A parameter that a trial does not have is drawn below the axis of the parameter.
    """
    import matplotlib as mpl

    title = f"Trials by their parameters{_describe_rest(parameters, _MAX_COORDINATES)}, coloured by {objective}"
    parameters = parameters[:_MAX_COORDINATES]
    width = max(7, 1.7 * (len(parameters) + 1))
    figure = style.new_figure(width, 4.4, title)
    axes = figure.subplots()
    values = np.array([trial.values[0] for trial in trials])
    norm, colourmap = Normalize(values.min(), values.max()), mpl.colormaps[_COLOURMAP]
    columns = [_heights(parameter, [trial.params.get(parameter.key) for trial in trials]) for parameter in parameters]
    for index in np.argsort(values if maximize else -values):
        line = [column[index] for column in columns]
        axes.plot(range(len(columns)), line, color=colourmap(norm(values[index])), alpha=0.8, linewidth=1.3)
    for index, parameter in enumerate(parameters):
        axes.axvline(index, color="black", linewidth=0.8)
        present = [trial.params[parameter.key] for trial in trials if parameter.key in trial.params]
        absent = [(_ABSENT, "not set")] if len(present) < len(trials) else []
        for height, text in _scale_labels(parameter, present) + absent:
            axes.annotate(
                text,
                (index, height),
                (4, 0),
                textcoords="offset points",
                fontsize=style.SMALL,
                va="center",
                bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5},
            )
    keys = short_names.shorten_names([parameter.key for parameter in parameters], 1.3)
    axes.set_xticks(range(len(parameters)), keys, fontsize=style.SMALL)
    axes.set(yticks=[], xlim=(-0.1, len(parameters) - 0.6), ylim=(_ABSENT - 0.06, 1.06))
    axes.spines[:].set_visible(False)
    figure.colorbar(mpl.cm.ScalarMappable(norm, colourmap), ax=axes, label=objective)
    return figure


def plot_contour(trials: Sequence[StudyTrial], x: ParameterAxis, y: ParameterAxis, objective: str) -> Figure:
    """Plot the value over two parameters; levels are interpolated between the trials, not beyond them."""
    figure = style.new_figure(6.4, 5, f"{objective} by the two most important parameters")
    axes = figure.subplots()
    having = [trial for trial in trials if {x.key, y.key} <= {*trial.params}]
    x_values, y_values = (np.array([axis.position(trial.params[axis.key]) for trial in having]) for axis in (x, y))
    values = np.array([trial.values[0] for trial in having])
    if _is_spread(x, x_values) and _is_spread(y, y_values) and len(having) >= _MIN_CONTOUR_POINTS:
        triangulation = _triangulate(x_values, y_values, log_x=x.log, log_y=y.log)
        axes.tricontourf(triangulation, values, _LEVELS, cmap=_COLOURMAP, alpha=0.8)
    points = axes.scatter(x_values, y_values, 30, values, cmap=_COLOURMAP, edgecolor="white", linewidth=0.8, zorder=3)
    figure.colorbar(points, ax=axes, label=objective)
    _scale_axis(axes, x, "x")
    _scale_axis(axes, y, "y")
    _label_axes(axes, *short_names.shorten_names([x.key, y.key], _LABEL, style.MEDIUM))
    return figure


def plot_pareto_front(
    trials: Sequence[StudyTrial], objectives: Sequence[str], front: Sequence[int], *, minimize_second: bool
) -> Figure:
    """Plot the first two objectives against each other; steps join the Pareto front.

    Args:
        trials: The trials.
        objectives: Names of the objectives.
        front: Numbers of the trials on the Pareto front.
        minimize_second: Whether the second objective is minimised.
    """
    figure = style.new_figure(6.4, 4.6, f"{objectives[0]} against {objectives[1]}")
    axes = figure.subplots()
    best = sorted((trial for trial in trials if trial.number in front), key=lambda trial: trial.values[1])
    dominated = [trial for trial in trials if trial.number not in front]
    axes.scatter(
        [trial.values[1] for trial in dominated],
        [trial.values[0] for trial in dominated],
        26,
        color=style.SKY,
        label="trials",
    )
    axes.plot(
        [trial.values[1] for trial in best],
        [trial.values[0] for trial in best],
        color=style.VERMILION,
        marker="o",
        drawstyle="steps-post" if minimize_second else "steps-pre",
        label="Pareto front",
    )
    _label_axes(axes, *short_names.shorten_names([objectives[1], objectives[0]], _LABEL, style.MEDIUM))
    axes.margins(0.1)
    figure.legend(loc="outside lower center", ncols=2, fontsize=style.SMALL, frameon=False)
    positions = [(trial.values[1], trial.values[0]) for trial in best]
    point_labels.label_points(axes, positions, [str(trial.number) for trial in best])
    return figure


def _triangulate(x: NDArray[np.float64], y: NDArray[np.float64], *, log_x: bool, log_y: bool) -> Any:
    """Return triangles between points, chosen by their positions in the plot but with their own coordinates."""
    from matplotlib.tri import Triangulation

    def to_unit(values: NDArray[np.float64], log: bool) -> Any:
        positions = np.log(values) if log else values
        return (positions - positions.min()) / np.ptp(positions)

    return Triangulation(x, y, Triangulation(to_unit(x, log_x), to_unit(y, log_y)).triangles)


def _is_spread(axis: ParameterAxis, values: NDArray[np.float64]) -> bool:
    """Return whether levels can be drawn along an axis: it has more than one number."""
    return axis.choices is None and len(values) > 0 and bool(np.ptp(values) > 0)


def _scale_axis(axes: Axes, axis: ParameterAxis, direction: Literal["x", "y"]) -> None:
    """Set scale and ticks of the x or y axis to those of a parameter."""
    if axis.log:
        style.set_log_scale(axes, direction)
    elif axis.choices is not None:
        names = short_names.shorten_names([str(choice) for choice in axis.choices], _CHOICE)
        ticks = _choose_ticks(len(names), int(_KEY / _LINE))
        labels = [names[tick] for tick in ticks]
        if direction == "y":
            axes.set_yticks(ticks, labels)
        else:
            crowded = sum(style.text_width(label) + 0.1 for label in labels) > _KEY
            axes.set_xticks(ticks, labels, rotation=90 if crowded else 0)
        (axes.set_xlim if direction == "x" else axes.set_ylim)(-0.5, len(names) - 0.5)


def _heights(axis: ParameterAxis, values: Sequence[Any]) -> list[float]:
    """Return the height of each value from 0 to 1 on a vertical axis; `_ABSENT` for None."""
    positions = np.array([np.nan if value is None else axis.position(value) for value in values], dtype=float)
    positions = np.log(positions) if axis.log else positions
    low, high = (0.0, len(axis.choices) - 1.0) if axis.choices else (np.nanmin(positions), np.nanmax(positions))
    heights = (positions - low) / (high - low) if high > low else np.where(np.isnan(positions), np.nan, 0.5)
    return [float(height) for height in np.where(np.isnan(heights), _ABSENT, heights)]


def _scale_labels(axis: ParameterAxis, values: Sequence[Any]) -> list[tuple[float, str]]:
    """Return heights and labels of a vertical axis: of the choices, or of the lowest, middle and highest number."""
    if axis.choices is not None:
        top = max(len(axis.choices) - 1, 1)
        names = short_names.shorten_names([str(choice) for choice in axis.choices], 1.2)
        return [(index / top, names[index]) for index in _choose_ticks(len(names), _MAX_CHOICES)]
    numbers = [float(value) for value in values] or [0.0]
    low, high = min(numbers), max(numbers)
    middle = float(np.sqrt(low * high)) if axis.log else (low + high) / 2
    return [(0.0, f"{low:.3g}"), (0.5, f"{middle:.3g}"), (1.0, f"{high:.3g}")] if high > low else [(0.5, f"{low:.3g}")]


def _choose_ticks(count: int, maximum: int) -> list[int]:
    """Return the indices of the choices that are named: all of few ones, and else some at equal distances."""
    step = -(-count // maximum)
    return [*range(0, count, step)]


def _describe_rest(parameters: Sequence[ParameterAxis], shown_count: int) -> str:
    return f", the first {shown_count} of {len(parameters)}" if len(parameters) > shown_count else ""


def _label_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=style.MEDIUM)
    axes.set_ylabel(y, fontsize=style.MEDIUM)
    style.style_axes(axes)
