"""Pictures of a study: still ones, and one page of Optuna's own that answer to the mouse."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tinybench.figures import studies
from tinybench.figures.studies import Axis, Trial
from tinybench.sweeps.study import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEWEST = 3  # completed trials that something can be said of
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
    if len(done) < _FEWEST:
        note(f"No pictures of the study: {len(done)} trials were completed, fewer than {_FEWEST}.")
        return []
    folder.mkdir(parents=True, exist_ok=True)
    with _quiet():
        known = optuna.create_study(directions=[each.direction for each in made.space.objectives])
        known.add_trials([trial for trial in made.counted() if trial.values is not None])
        shares = _importance(known)
        files = []
        for name, figure in _figures(made, shares):
            file = folder / f"{name}.png"
            figure.savefig(file, dpi=_DOTS)
            files.append(file)
        page = _page(made, known, shares, folder / "sweep.html")
    return [*files, page]


def _figures(made: Study, shares: dict[str, float]) -> Iterator[tuple[str, Figure]]:
    objectives = [each.figure for each in made.space.objectives]
    rising = made.space.objectives[0].direction == "maximize"
    best = made.best()
    trials = [_plain(trial) for trial in made.counted() if trial.values is not None]
    done = [trial for trial in trials if not trial.pruned]
    axes = _axes(made, done)
    yield "history", studies.history(trials, objectives[0], rising=rising)
    if any(len(trial.steps) > 1 for trial in trials):
        yield "curves", studies.curves(trials, objectives[0], best[0].number)
    if axes:
        yield "slices", studies.slices(done, axes, objectives[0])
    if len(axes) > 1:
        yield "parallel_coordinates", studies.parallel(done, axes, objectives[0], rising=rising)
    if shares:
        yield "importance", studies.importance(shares, objectives[0])
        first = [axis for key in shares for axis in axes if axis.key == key][:2]
        if len(first) > 1:
            yield "contour", studies.contour(done, first[0], first[1], objectives[0])
    if len(objectives) > 1:
        yield "pareto", studies.pareto(done, objectives, [trial.number for trial in best])


def _plain(trial: FrozenTrial) -> Trial:
    pruned = trial.state == TrialState.PRUNED
    return Trial(trial.number, tuple(trial.values), pruned, trial.params, trial.intermediate_values)


def _axes(made: Study, done: list[Trial]) -> list[Axis]:
    """Parameters that took at least two values."""
    return [
        Axis(each.key, each.distribution.startswith("log"), each.choices or None)
        for each in made.space.parameters
        if len({repr(trial.drawn.get(each.key)) for trial in done}) > 1
    ]


def _importance(known: optuna.Study) -> dict[str, float]:
    """Shares by key, the greatest first; none where too little varies."""
    target = None if len(known.directions) == 1 else lambda trial: trial.values[0]
    judge = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    try:
        return dict(optuna.importance.get_param_importances(known, evaluator=judge, target=target))
    except (ValueError, RuntimeError):  # all values are equal, or no parameter is in all trials
        return {}


def _page(made: Study, known: optuna.Study, shares: dict[str, float], file: Path) -> Path:
    """Optuna's interactive figures, one below the other, in a page that needs nothing else."""
    from optuna import visualization as shown

    objectives = [each.figure for each in made.space.objectives]
    one: dict[str, Any] = {"target_name": objectives[0]}
    if len(objectives) > 1:
        one["target"] = lambda trial: trial.values[0]
    drawn = [shown.plot_optimization_history(known, **one)]
    if len(objectives) > 1:
        drawn.append(shown.plot_pareto_front(known, target_names=objectives))
    else:
        drawn.append(shown.plot_intermediate_values(known))
    if shares:
        judge = optuna.importance.FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
        drawn.append(shown.plot_param_importances(known, evaluator=judge, **one))
    drawn += [shown.plot_parallel_coordinate(known, **one), shown.plot_slice(known, **one)]
    if len(shares) > 1:
        drawn.append(shown.plot_contour(known, params=[*shares][:2], **one))
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
