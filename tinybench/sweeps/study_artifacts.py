"""Write the plots of a study: PNG files, and one HTML page with Optuna's interactive plots."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from tinybench.core.errors import format_error
from tinybench.plots import study_plots
from tinybench.plots.study_plots import ParameterAxis, StudyTrial
from tinybench.sweeps import study_page
from tinybench.sweeps.study import Study
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MIN_TRIALS_FOR_IMPORTANCE = 4
_PLACEHOLDER = optuna.create_trial(state=TrialState.FAIL)
_TREES = 64  # in the random forest of fANOVA
_DPI = 120


def write_plots(study: Study, folder: Path, callbacks: RunCallbacks) -> list[Path]:
    """Write all plots that the complete trials of a study allow, and return their files.

    They are: history, curves, slices, parallel coordinates, importance, contour, Pareto front, and the page.

    Args:
        study: The study.
        folder: Where to write; created if it is missing.
        callbacks: Get a message if a plot fails, which ends nothing.
    """
    complete = [trial for trial in study.counted_trials() if trial.state == TrialState.COMPLETE]
    if not complete:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    try:
        with _ignore_optuna_messages():
            first_study = _copy_with_first_objective(study)
            importances = _compute_importances(first_study) if len(complete) >= _MIN_TRIALS_FOR_IMPORTANCE else {}
            for name, figure in _draw_plots(study, importances):
                file = folder / f"{name}.png"
                figure.savefig(file, dpi=_DPI)
                files.append(file)
            files.append(study_page.write_page(study, first_study, importances, folder / "sweep.html"))
    except Exception as error:  # the study has its results: a plot is no reason to lose its winner
        callbacks.on_message(f"Not all plots of the study could be drawn: {format_error(error)}")
    return files


def _draw_plots(study: Study, importances: dict[str, float]) -> Iterator[tuple[str, Figure]]:
    """Yield the plots with their names."""
    objectives = [objective.metric for objective in study.space.objectives]
    maximize = study.space.objectives[0].direction == "maximize"
    best = study.best_trials()
    trials = [_convert_trial(trial) for trial in study.counted_trials() if trial.values is not None]
    complete = [trial for trial in trials if not trial.pruned]
    axes = _build_axes(study, complete)
    yield "history", study_plots.plot_optimization_history(trials, objectives[0], maximize=maximize)
    if any(len(trial.intermediate_values) > 1 for trial in trials):
        label = f"{objectives[0]}{', with the first seed' if study.space.seeds > 1 else ''}"
        yield "curves", study_plots.plot_intermediate_values(trials, label, best[0].number)
    if axes:
        yield "slices", study_plots.plot_slice(complete, axes, objectives[0])
    if len(axes) > 1:
        figure = study_plots.plot_parallel_coordinate(complete, axes, objectives[0], maximize=maximize)
        yield "parallel_coordinates", figure
    if importances:
        yield "importance", study_plots.plot_param_importances(importances, objectives[0], len(complete))
        top_axes = [axis for key in importances for axis in axes if axis.key == key][:2]
        if len(top_axes) > 1:
            yield "contour", study_plots.plot_contour(complete, top_axes[0], top_axes[1], objectives[0])
    if len(objectives) > 1:
        minimize_second = study.space.objectives[1].direction == "minimize"
        numbers = [trial.number for trial in best]
        yield "pareto", study_plots.plot_pareto_front(complete, objectives, numbers, minimize_second=minimize_second)


def _copy_with_first_objective(study: Study) -> optuna.Study:
    """Return a copy in memory that has the first objective alone: Optuna's plots of several show no best trial."""
    copy = optuna.create_study(direction=study.space.objectives[0].direction)
    counted = {trial.number for trial in study.counted_trials() if trial.values is not None}
    # With placeholders for the others, since Optuna numbers trials in the order in which they are added
    copy.add_trials([_keep_first_value(trial) if trial.number in counted else _PLACEHOLDER for trial in study.trials()])
    return copy


def _keep_first_value(trial: FrozenTrial) -> FrozenTrial:
    return optuna.create_trial(
        state=trial.state,
        value=trial.values[0],
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values,
    )


def _convert_trial(trial: FrozenTrial) -> StudyTrial:
    pruned = trial.state == TrialState.PRUNED
    return StudyTrial(trial.number, tuple(trial.values), pruned, trial.params, trial.intermediate_values)


def _build_axes(study: Study, trials: list[StudyTrial]) -> list[ParameterAxis]:
    """Return the axes of the parameters that have at least two values in some trials."""
    return [
        ParameterAxis(parameter.key, parameter.distribution.startswith("log"), parameter.choices or None)
        for parameter in study.space.parameters
        if len({repr(trial.params[parameter.key]) for trial in trials if parameter.key in trial.params}) > 1
    ]


def _compute_importances(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each parameter by key, the greatest first; empty where too little varies."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    try:
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except (ValueError, RuntimeError):  # all values are equal, or no parameter is in all trials
        return {}


@contextmanager
def _ignore_optuna_messages() -> Iterator[None]:
    """Silence the log lines and warnings of Optuna while the block runs."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)
