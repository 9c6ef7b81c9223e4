"""Pictures of a study: still ones, and one page of Optuna's own that answer to the mouse."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

from tinybench.core.errors import in_one_line
from tinybench.plots import study_plots
from tinybench.plots.study_plots import ParameterAxis, StudyTrial
from tinybench.sweeps.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST_FOR_SHARES = 4  # completed trials that the importance of a parameter can be read from
_NOTHING = optuna.create_trial(state=TrialState.FAIL)
_TREES = 64  # of fANOVA's forest
_DOTS = 120  # an inch


def draw(made: Study, folder: Path, note: Callable[[str], None]) -> list[Path]:
    """Files in a folder: history, curves, importance, parallel coordinates, slices, contour, Pareto front.

    Args:
        made: The study.
        folder: Made if it is absent.
        note: Told what cannot be drawn, and why.
    """
    done = [trial for trial in made.counted() if trial.state == TrialState.COMPLETE]
    if not done:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    try:
        with _quiet():
            first = _by_first_objective(made)
            shares = _importance(first) if len(done) >= _FEWEST_FOR_SHARES else {}
            for name, figure in _figures(made, shares):
                file = folder / f"{name}.png"
                figure.savefig(file, dpi=_DOTS)
                files.append(file)
            files.append(_page(made, first, shares, folder / "sweep.html"))
    except Exception as error:  # the study is done: a picture is no reason to lose its winner
        note(f"Not all pictures of the study could be drawn: {in_one_line(error)}")
    return files


def _figures(made: Study, shares: dict[str, float]) -> Iterator[tuple[str, Figure]]:
    objectives = [each.figure for each in made.space.objectives]
    rising = made.space.objectives[0].direction == "maximize"
    best = made.best()
    trials = [_plain(trial) for trial in made.counted() if trial.values is not None]
    done = [trial for trial in trials if not trial.pruned]
    axes = _axes(made, done)
    yield "history", study_plots.plot_optimization_history(trials, objectives[0], maximize=rising)
    if any(len(trial.intermediate_values) > 1 for trial in trials):
        of_one = f"{objectives[0]}{', with the first seed' if made.space.seeds > 1 else ''}"
        yield "curves", study_plots.plot_intermediate_values(trials, of_one, best[0].number)
    if axes:
        yield "slices", study_plots.plot_slice(done, axes, objectives[0])
    if len(axes) > 1:
        yield "parallel_coordinates", study_plots.plot_parallel_coordinate(done, axes, objectives[0], maximize=rising)
    if shares:
        yield "importance", study_plots.plot_param_importances(shares, objectives[0], len(done))
        first = [axis for key in shares for axis in axes if axis.key == key][:2]
        if len(first) > 1:
            yield "contour", study_plots.plot_contour(done, first[0], first[1], objectives[0])
    if len(objectives) > 1:
        least = made.space.objectives[1].direction == "minimize"
        yield "pareto", study_plots.plot_pareto_front(done, objectives, [trial.number for trial in best], minimize_second=least)


def _by_first_objective(made: Study) -> optuna.Study:
    """The trials judged by the first objective alone: Optuna's pictures of several know no best."""
    study = optuna.create_study(direction=made.space.objectives[0].direction)
    counted = {trial.number for trial in made.counted() if trial.values is not None}
    # All of them, since trials are numbered as they are added
    study.add_trials([_judged(each) if each.number in counted else _NOTHING for each in made.trials()])
    return study


def _judged(trial: FrozenTrial) -> FrozenTrial:
    return optuna.create_trial(
        state=trial.state,
        value=trial.values[0],
        params=trial.params,
        distributions=trial.distributions,
        intermediate_values=trial.intermediate_values,
    )


def _plain(trial: FrozenTrial) -> StudyTrial:
    pruned = trial.state == TrialState.PRUNED
    return StudyTrial(trial.number, tuple(trial.values), pruned, trial.params, trial.intermediate_values)


def _axes(made: Study, done: list[StudyTrial]) -> list[ParameterAxis]:
    """Parameters that took at least two values."""
    return [
        ParameterAxis(each.key, each.distribution.startswith("log"), each.choices or None)
        for each in made.space.parameters
        if len({repr(trial.params[each.key]) for trial in done if each.key in trial.params}) > 1
    ]


def _importance(known: optuna.Study) -> dict[str, float]:
    """Shares by key, the greatest first; none where too little varies."""
    judge = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    try:
        return dict(optuna.importance.get_param_importances(known, evaluator=judge))
    except (ValueError, RuntimeError):  # all values are equal, or no parameter is in all trials
        return {}


def _page(made: Study, first: optuna.Study, shares: dict[str, float], file: Path) -> Path:
    """Optuna's interactive figures, one below the other, in a page that needs nothing else."""
    from optuna import visualization as shown

    objectives = [each.figure for each in made.space.objectives]
    name = objectives[0]
    drawn = [shown.plot_optimization_history(first, target_name=name)]
    if len(objectives) in (2, 3):  # dimensions that can be drawn
        every = optuna.create_study(directions=[each.direction for each in made.space.objectives])
        done = {trial.number for trial in made.counted() if trial.state == TrialState.COMPLETE}
        every.add_trials([each if each.number in done else _NOTHING for each in made.trials()])
        drawn.append(shown.plot_pareto_front(every, target_names=objectives))
    elif len(objectives) == 1:
        drawn.append(shown.plot_intermediate_values(first))
    if shares:
        judge = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
        drawn.append(shown.plot_param_importances(first, evaluator=judge, target_name=name))
    drawn += [shown.plot_parallel_coordinate(first, target_name=name), shown.plot_slice(first, target_name=name)]
    if len(shares) > 1:
        drawn.append(shown.plot_contour(first, params=[*shares][:2], target_name=name))
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=place == 0, default_height="520px")
        for place, figure in enumerate(drawn)
    ]
    title = "".join(sign if sign.isalnum() or sign in " -_." else "_" for sign in made.name)
    file.write_text(
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><body>{"".join(parts)}</body>', "utf-8"
    )
    return file


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Optuna says about itself."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            optuna.logging.set_verbosity(level)
