"""Write the page of a study: what was searched, the best trials, Optuna's interactive plots, and all trials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tinybench.core.html_table import html_table
from tinybench.sweeps.slots import ERROR
from tinybench.sweeps.sweep_result import MOST_TRIALS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from tinybench.sweeps.space import Parameter
    from tinybench.sweeps.study import Study

_HEIGHT = "420px"
_MOST_CURVES = 20  # that a legend names
_MOST_TICKS = 20  # of epochs or trials
_AXIS_PIXELS = 170  # between two axes of parallel coordinates
_PLACEHOLDER = optuna.create_trial(state=TrialState.FAIL)
_MARGIN = {"t": 20, "r": 20, "b": 60, "l": 70}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 1500px; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
p { margin: .25rem 0; } section p { color: #57606a; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { color: #57606a; } dd { margin: 0; }
.scroll { overflow-x: auto; } .all { max-height: 30rem; overflow-y: auto; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr)); gap: 1rem; }
.grid > div { min-width: 0; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #d8dee4; white-space: nowrap; }
.all td:last-child { white-space: normal; min-width: 26rem; } th { position: sticky; top: 0; background: #f6f8fa; }
caption { text-align: left; color: #57606a; }
"""


def write_page(study: Study, first_study: optuna.Study, importances: Mapping[str, float], file: Path) -> Path:
    """Write one page that loads nothing from elsewhere.

    Args:
        study: The study.
        first_study: Its trials with the first objective alone.
        importances: Importances of the parameters by key, the greatest first.
        file: Where to write.
    """
    page = _Plots()
    plots = "".join(page.sections(study, first_study, importances))
    title = escape(f"Study {study.name}")
    file.write_text(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{_summary(study)}\n{_best(study)}\n{plots}\n"
        f"{_all_trials(study)}\n</body></html>\n",
        "utf-8",
    )
    return file


def _summary(study: Study) -> str:
    """Return what the study searched and how its trials ended, as a list."""
    space, counts = study.space, study.counts()
    objectives = ", ".join(f"{objective.metric} ({objective.direction})" for objective in space.objectives)
    items = {
        "objective" if len(space.objectives) == 1 else "objectives": objectives,
        "trials": f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed",
        "searched settings": ", ".join(parameter.key for parameter in space.parameters),
        "trained": f"{space.base.model} on {space.base.dataset}, recipe {space.base.recipe}",
        "sampler": f"{space.sampler}, seed {space.sampler_seed}; pruner: {space.pruner}",
    }
    (best, *others), plural = study.best_trials(), len(space.objectives) > 1
    if plural:
        items["best"] = f"{len(others) + 1} trials that no other trial beats"
    else:
        items["best"] = f"{space.objectives[0].metric} {_format(best.values[0])}, by trial {best.number}"
    return f"<dl>{''.join(f'<dt>{escape(key)}</dt><dd>{escape(value)}</dd>' for key, value in items.items())}</dl>"


def _best(study: Study) -> str:
    """Return the settings of the best trial, one a row, beside those of the next best."""
    trials, space = study.top_trials(MOST_TRIALS), study.space
    columns = ["", *(f"trial {trial.number}" for trial in trials)]
    rows: list[list[str]] = [
        [objective.metric, *(_format(trial.values[index]) for trial in trials)]
        for index, objective in enumerate(space.objectives)
    ]
    rows += [[parameter.key, *(_value(trial, parameter) for trial in trials)] for parameter in space.parameters]
    title = "Best trials" if len(trials) > 1 else "Best trial"
    about = "Chosen by validation images. best.toml has the settings of the first: tinybench train --from "
    return _section(title, f"{about}{study.name}", f'<div class="scroll">{html_table(columns, rows)}</div>')


def _all_trials(study: Study) -> str:
    """Return every trial that counts, with its settings, and why it failed."""
    space, trials = study.space, study.counted_trials()
    columns = ["trial", "state", *(objective.metric for objective in space.objectives)]
    columns += [*(parameter.key for parameter in space.parameters), "reason"]
    rows = []
    for trial in trials:
        values = [_format(value) for value in trial.values or ()] or [""] * len(space.objectives)
        values += [_value(trial, parameter) for parameter in space.parameters]
        state = "failed" if trial.state == TrialState.FAIL else trial.state.name.lower()
        rows.append([trial.number, state, *values, trial.user_attrs.get(ERROR, "")])
    about = "A pruned trial has the last value that it reported."
    return _section("All trials", about, f'<div class="scroll all">{html_table(columns, rows)}</div>')


class _Plots:
    """The plots of a page, the first of which brings the program that draws them all."""

    def __init__(self) -> None:
        self._is_first = True

    def sections(self, study: Study, first_study: optuna.Study, importances: Mapping[str, float]) -> Iterator[str]:
        """Yield a section for each plot that the trials allow."""
        from optuna import visualization

        objectives = study.space.objectives
        name = objectives[0].metric
        history = visualization.plot_optimization_history(first_study, target_name=name)
        history.update_traces(line_shape="hv", selector={"mode": "lines"})
        history.update_xaxes(tickformat="d", dtick=-(-len(first_study.trials) // _MOST_TICKS))
        yield _section("History", f"{name} of each complete trial, and the best so far.", self._html(history))
        if len(objectives) in (2, 3):  # the dimensions that can be drawn
            yield _section("Pareto front", "Trials that no other trial beats.", self._html(_plot_front(study)))
        if any(len(trial.intermediate_values) > 1 for trial in first_study.get_trials(deepcopy=False)):
            curves = visualization.plot_intermediate_values(first_study)
            last = max(max(trial.intermediate_values, default=1) for trial in study.counted_trials())
            curves.update_layout(xaxis_title="Epoch", yaxis_title=name, xaxis_dtick=-(-last // _MOST_TICKS))
            curves.update_layout(showlegend=len(curves.data) <= _MOST_CURVES)
            yield _section("Epochs", f"{name} of each trial, also of pruned ones.", self._html(curves))
        if importances:
            bars = _plot_importances(importances)
            about = f"Share of the variance of {name} that each setting explains (fANOVA)."
            yield _section("Importance", about, self._html(bars, f"{120 + 36 * len(importances)}px"))
        parameters = _find_drawn(study, first_study)
        if parameters:
            yield self._slices(first_study, parameters, name)
        if len(parameters) > 1:
            yield self._parallel(first_study, parameters, name)
        categorical = {parameter.key for parameter in parameters if parameter.choices}
        numbers = [key for key in importances if key not in categorical]
        if len(numbers) > 1:
            contour = visualization.plot_contour(first_study, params=numbers[:2], target_name=name)
            about = f"{name} over the two most important settings that are numbers, interpolated between the trials."
            yield _section("Contour", about, self._html(contour, "560px"))

    def _slices(self, study: optuna.Study, parameters: Sequence[Parameter], name: str) -> str:
        from optuna import visualization

        panels = []
        for parameter in parameters:
            figure = visualization.plot_slice(study, params=[parameter.key], target_name=name)
            if parameter.choices:
                figure.update_xaxes(tickvals=[*map(repr, parameter.choices)], ticktext=[*map(str, parameter.choices)])
            figure.update_traces(marker_size=8, marker_showscale=False, name="")
            panels.append(self._html(figure, "340px"))
        body = f'<div class="grid">{"".join(f"<div>{panel}</div>" for panel in panels)}</div>'
        return _section("Settings", f"{name} by each setting; later trials are darker.", body)

    def _parallel(self, study: optuna.Study, parameters: Sequence[Parameter], name: str) -> str:
        from optuna import visualization

        keys = [parameter.key for parameter in parameters]
        figure = visualization.plot_parallel_coordinate(study, params=keys, target_name=name)
        width = _AXIS_PIXELS * (len(parameters) + 2)
        body = f'<div class="scroll"><div style="min-width: {width}px">{self._html(figure, "480px")}</div></div>'
        return _section("Trials by their settings", "A line for each complete trial.", body)

    def _html(self, figure: Figure, height: str = _HEIGHT) -> str:
        figure.update_xaxes(exponentformat="e")
        figure.update_yaxes(exponentformat="e")
        figure.update_layout(title=None, margin=_MARGIN, template="plotly_white", width=None)
        html: str = figure.to_html(
            full_html=False, include_plotlyjs=self._is_first, default_height=height, config={"responsive": True}
        )
        self._is_first = False
        return html


def _plot_front(study: Study) -> Figure:
    from optuna import visualization

    objectives = study.space.objectives
    front_study = optuna.create_study(directions=[objective.direction for objective in objectives])
    complete = {trial.number for trial in study.counted_trials() if trial.state == TrialState.COMPLETE}
    front_study.add_trials([trial if trial.number in complete else _PLACEHOLDER for trial in study.trials()])
    figure = visualization.plot_pareto_front(front_study, target_names=[objective.metric for objective in objectives])
    for trace in figure.data:
        is_best = "Best Trial" in (trace.hovertemplate or "")
        trace.update(name="not beaten" if is_best else "beaten", showlegend=True)
        trace.update(marker={"color": "#cf222e" if is_best else "#8c959f", "size": 9, "showscale": False})
    return figure


def _plot_importances(importances: Mapping[str, float]) -> Figure:
    """Return a bar for each setting, the most important on top."""
    from plotly import graph_objects

    keys = [*importances][::-1]
    values = [importances[key] for key in keys]
    bars = graph_objects.Bar(
        x=values,
        y=keys,
        orientation="h",
        text=[f"{value:.2f}" for value in values],
        textposition="outside",
        cliponaxis=False,
    )
    figure = graph_objects.Figure(bars)
    figure.update_xaxes(title="Share of the variance", range=[0, max(1.1 * max(values), 0.1)])
    figure.update_yaxes(automargin=True)
    return figure


def _find_drawn(study: Study, first_study: optuna.Study) -> list[Parameter]:
    """Return the parameters that have a value in some complete trial."""
    complete = first_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    drawn = {key for trial in complete for key in trial.params}
    return [parameter for parameter in study.space.parameters if parameter.key in drawn]


def _section(title: str, about: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2><p>{escape(about)}</p>{body}</section>\n"


def _value(trial: FrozenTrial, parameter: Parameter) -> str:
    return _format(trial.params[parameter.key]) if parameter.key in trial.params else ""


def _format(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
