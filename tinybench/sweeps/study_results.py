"""What a study found: tables, pictures, the best settings as a file, and the winner, trained once more as a run.

Only the winner meets the test images, once. It is trained from its settings and not taken from its trial, so that
what is scored is what anybody gets by these settings.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w
from optuna.trial import FrozenTrial, TrialState

from tinybench.config import run_config as configuration
from tinybench.core import quiet_libraries
from tinybench.core.errors import TrackingError, in_one_line
from tinybench.recipes.resolve import resolve
from tinybench.sweeps import study_artifacts, study_files, trial_runs
from tinybench.sweeps.slots import ERROR, FIGURES, RUN
from tinybench.sweeps.study import Study
from tinybench.sweeps.sweep_result import Outcome
from tinybench.tracking import tags
from tinybench.training.progress import best_metric_name

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.sweeps.space import Objective
    from tinybench.sweeps.sweep_result import Watcher
    from tinybench.tracking.journal import Journal
    from tinybench.tracking.results import Result
    from tinybench.tracking.run import Run
    from tinybench.tracking.tracker import Tracker


_WINNER = "winner"
_NOT_SETTLED = ("recipe", "track.")  # what a file of settings leaves to who trains by it


def draw(made: Study, tracker: Tracker, parent: Run, journal: Journal, watcher: Watcher) -> Outcome:
    """Log what was found, and train the winner.

    Args:
        made: The study, whose trials have ended.
        tracker: The store.
        parent: The study's run.
        journal: Writes to it.
        watcher: Is told.

    Raises:
        TrackingError: no trial was completed.
    """
    folder, best = study_files.folder(made.name), made.best()
    folder.mkdir(parents=True, exist_ok=True)
    study_files.clear(made.name)
    files = [_written(folder / "trials.csv", _table(made, journal))]
    files += [_written(folder / name, _settings(made, trial)) for name, trial in _named(best)]
    for file in files:
        journal.log_artifact(parent.id, file, "")
    for file in study_artifacts.draw(made, folder / "figures", watcher.on_message):
        journal.log_artifact(parent.id, file, "figures")
    journal.set_tags(parent.id, {tags.NOTE: _words(made, best)})
    winner = _winner(made, tracker, parent, journal, best[0], watcher) if best else None
    left = journal.flush() + sum(_left(file, journal) for file in study_files.spools(made.name))
    if not left:
        trial_runs.bury(made, tracker, journal)  # also runs of dead workers that were only now sent
    for reason in journal.rejected:
        watcher.on_message(f"The tracking store refused an entry: {reason}")
    if not best:
        raise TrackingError(_in_vain(made))
    return Outcome(made, best, winner, folder / "best.toml", left)


def _in_vain(made: Study) -> str:
    failed = [trial.user_attrs[ERROR] for trial in made.counted() if trial.state == TrialState.FAIL]
    if not failed:
        return f"No trial was completed: give the study more time by tinybench sweep --resume {made.name}"
    return (
        f"No trial was completed: {len(failed)} failed, the last with: {failed[-1]} "
        f"Mend it, then give them out again by: tinybench sweep --resume {made.name} --retry-failed"
    )


def values(made: Study, trial: FrozenTrial) -> Iterator[tuple[Objective, float]]:
    """The objectives of a trial that was completed, with their values."""
    yield from zip(made.space.objectives, trial.values, strict=True)


def _named(best: list[FrozenTrial]) -> Iterator[tuple[str, FrozenTrial]]:
    """The first is the best; the others of a front have their numbers."""
    for place, trial in enumerate(best):
        yield ("best.toml" if place == 0 else f"trial_{trial.number}.toml"), trial


def _written(file: Path, text: str) -> Path:
    file.write_text(text, "utf-8")
    return file


def _settings(made: Study, trial: FrozenTrial) -> str:
    """What differs from the recipe, as `tinybench train --from` reads it."""
    config = made.space.config(trial.params)
    usual = resolve(config.recipe).flat()
    own = {
        key: list(value) if isinstance(value, tuple) else "none" if value is None else value
        for key, value in config.flat().items()
        if value != usual[key] and not key.startswith(_NOT_SETTLED)
    }
    found = ", ".join(f"{each.figure} {value:.6g}" for each, value in values(made, trial))
    return f"# Trial {trial.number} of study {made.name}: {found}\n" + tomli_w.dumps({"recipe": config.recipe} | own)


def _table(made: Study, journal: Journal) -> str:
    """Every trial that counts, as CSV."""
    keys = [parameter.key for parameter in made.space.parameters]
    figures = [each.figure for each in made.space.objectives]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["trial", "state", *figures, *keys, "seconds", "run_id", "reason"])
    for trial in made.counted():
        found = trial.values or [""] * len(figures)
        own = [trial.params.get(key, "") for key in keys]
        seconds = trial.duration.total_seconds() if trial.duration else ""
        attributes = trial.user_attrs
        run = attributes.get(RUN, "")
        known = "" if journal.is_placeholder(run) else run
        writer.writerow([trial.number, trial.state.name.lower(), *found, *own, seconds, known, attributes.get(ERROR)])
    return file.getvalue()


def _words(made: Study, best: list[FrozenTrial]) -> str:
    """The study's run as Markdown."""
    counts = made.counts()
    lines = [
        f"Study **{made.name}**: {counts.complete} trials complete, {counts.pruned} pruned, {counts.failed} failed.",
        "",
    ]
    if best:
        keys = [parameter.key for parameter in made.space.parameters]
        figures = [each.figure for each in made.space.objectives]
        lines += [f"| trial | {' | '.join((*figures, *keys))} |", "|---" * (1 + len(figures) + len(keys)) + "|"]
        lines += [f"| {trial.number} | {' | '.join(_cells(trial, keys))} |" for trial in best]
        lines += ["", "Chosen by the validation images. `tinybench train --from best.toml` trains the first again."]
    return "\n".join(lines)


def _cells(trial: FrozenTrial, keys: list[str]) -> list[str]:
    own = [trial.params.get(key, "") for key in keys]
    return [f"{value:.5g}" if isinstance(value, float) else str(value) for value in (*trial.values, *own)]


def _winner(
    made: Study, tracker: Tracker, parent: Run, journal: Journal, trial: FrozenTrial, watcher: Watcher
) -> Result | None:
    """The best configuration as a run below the study's; one that was trained before a resume is left as it is."""
    known = made.kept(_WINNER)
    if known is not None and known["trial"] == trial.number:
        watcher.on_message(f"The winner, trial {trial.number}, was trained before: run {known['run']}.")
        return None
    watcher.on_winner_begin(trial, made.space.objectives)
    try:
        result = _trained(made.space.config(trial.params), tracker, parent, watcher)
    except Exception as error:  # the study is done: its winner can be trained at any time
        reason = in_one_line(error)
        watcher.on_message(
            f"The winner could not be trained: {reason} Try again by: tinybench sweep --resume {made.name}"
        )
        return None
    made.keep(_WINNER, {"trial": trial.number, "run": result.run_id})
    journal.set_tags(parent.id, {tags.WINNER: result.run_id})
    scores = {name: value for name, value in result.metrics.items() if name.startswith(("test/", "efficiency/"))}
    journal.log_metrics(parent.id, scores, len(made.counted()), journal.now())
    _compare(made, trial, result, watcher)
    return result


def _trained(config: RunConfig, tracker: Tracker, parent: Run, watcher: Watcher) -> Result:
    with quiet_libraries.starting():
        from tinybench.hardware import device
        from tinybench.job import train

        device.start()
    usual = configuration.RunConfig().track
    own = {"track.pictures": usual.pictures, "track.costs": usual.costs, "track.uri": tracker.uri}
    return train.train_run(configuration.replace(config, own), parent=parent, callbacks=watcher.console)


def _compare(made: Study, trial: FrozenTrial, result: Result, watcher: Watcher) -> None:
    """Say so where the same settings gave another figure than in the trial."""
    figures: Mapping[str, Any] = trial.user_attrs[FIGURES]
    for name in (best_metric_name(each.figure) for each in made.space.objectives):
        again = result.metrics.get(name)
        if made.space.seeds == 1 and again is not None and again != figures[name]:
            watcher.on_message(
                f"{name} is {again:.6g} in this run and was {figures[name]:.6g} in the trial, as happens where the "
                "trial was computed with other threads (--workers) or on another machine."
            )


def _left(file: Path, journal: Journal) -> int:
    """What another process could not send, sent now as far as the store takes it."""
    return type(journal)(journal.client, file).flush()
