"""Trials as MLflow runs, each a child of the study's run; written by a journal, so that no trial waits for MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tinybench.config.run_config import RunConfig
from tinybench.core.errors import in_one_line
from tinybench.sweeps.slots import ERROR, FIGURES, RETRY, RUN
from tinybench.sweeps.study import Study
from tinybench.tracking import provenance, tags
from tinybench.tracking.journal import Journal

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker
    from tinybench.training.progress import Epoch


_DIED = "Its process died."


class Tracked:
    """Records the trials of one worker."""

    def __init__(self, journal: Journal, experiment: str, parent: str) -> None:
        """Args: where to write, the experiment, and the study's run."""
        self.journal = journal
        self.experiment = experiment
        self.parent = parent
        self._origin = provenance.source_tags() | provenance.environment_tags()  # of this process: asked for once

    def begin(self, study: Study, number: int, attributes: Mapping[str, Any]) -> str:
        """Open a trial's run; gives its id, or a stand-in while the store does not answer."""
        run_tags = {
            tags.PARENT_RUN: self.parent,
            tags.STUDY: study.name,
            tags.TRIAL: str(number),
            tags.TRIAL_STATE: "running",
        }
        if RETRY in attributes:
            run_tags[f"{tags.TRIAL}.{RETRY}"] = str(attributes[RETRY])
        return self.journal.create_run(self.experiment, f"trial {number}", self._origin | run_tags)

    @contextmanager
    def seed(self, run: str, config: RunConfig) -> Iterator[str]:
        """The run of one training of a trial, ended as the trial is if the block is left by an exception."""
        run_tags = {
            tags.PARENT_RUN: self.journal.resolve_id(run),
            tags.SEED: str(config.seed),
            tags.TRIAL_STATE: "running",
        }
        below = self.journal.create_run(self.experiment, f"seed {config.seed}", self._origin | run_tags)
        try:
            self.settings(below, config)
            yield below
        except optuna.TrialPruned as pruned:
            self.pruned(below, str(pruned))
            raise
        except Exception as error:
            self.failed(below, in_one_line(error))
            raise
        except BaseException as error:
            self.lost(below, in_one_line(error))
            raise

    def settings(self, run: str, config: RunConfig) -> None:
        """The whole configuration, as every run has it."""
        self.journal.log_params(run, config.words())
        self.journal.log_text(run, json.dumps(config.shown(), indent=1), "config.json")

    def epoch(self, run: str, epoch: Epoch) -> None:
        """A point of the curves."""
        self.journal.log_metrics(run, epoch.metrics, epoch.number, epoch.timestamp)

    def complete(self, run: str, figures: Mapping[str, float], step: int) -> None:
        """The figures of a trial that was trained to its end."""
        self.journal.log_metrics(run, figures, step, self.journal.now())
        _end(self.journal, run, "FINISHED", "complete", "")

    def pruned(self, run: str | None, reason: str) -> None:
        """A trial that was stopped, since others did better: KILLED, so that nobody takes it for finished."""
        _end(self.journal, run, "KILLED", "pruned", reason)

    def failed(self, run: str | None, reason: str) -> None:
        """A trial that came to nothing."""
        _end(self.journal, run, "FAILED", "failed", reason)

    def lost(self, run: str | None, reason: str) -> None:
        """A trial that counts for nothing."""
        _end(self.journal, run, "KILLED", "lost", reason)


def bury(study: Study, tracker: Tracker, journal: Journal) -> None:
    """Close the runs below a study's whose process is gone and could not do so itself: as their trials ended."""
    trials = {str(trial.number): trial for trial in study.trials()}
    closed = {str(trial.user_attrs[RUN]) for trial in study.dead() if RUN in trial.user_attrs}
    for run in tracker.find_running_children(study.parent or ""):
        trial = trials.get(run.data.tags.get(tags.TRIAL))
        if trial is None or trial.state != TrialState.RUNNING:
            close(journal, run.info.run_id, trial)
            closed.add(run.info.run_id)
    for above in closed:  # their seeds, or the phases of a winner
        for run in [] if journal.is_placeholder(above) else tracker.find_running_children(above):
            close(journal, run.info.run_id, None)


def close(journal: Journal, run: str, trial: FrozenTrial | None) -> None:
    """End a run as its trial ended; None where it is no trial's."""
    reason = _DIED if trial is None else trial.user_attrs.get(ERROR, "")
    if trial is not None and trial.state == TrialState.COMPLETE:
        journal.log_metrics(run, trial.user_attrs.get(FIGURES, {}), trial.last_step or 0, journal.now())
        _end(journal, run, "FINISHED", "complete", "")
    elif trial is not None and trial.state == TrialState.PRUNED:
        _end(journal, run, "KILLED", "pruned", f"Pruned after epoch {trial.last_step}.")
    elif trial is not None and reason:
        _end(journal, run, "FAILED", "failed", reason)
    else:
        _end(journal, run, "KILLED", "lost", _DIED + (" The trial is given out again." if trial else ""))


def _end(journal: Journal, run: str | None, status: str, state: str, reason: str) -> None:
    if run is None:
        return
    journal.set_tags(run, {tags.TRIAL_STATE: state} | ({tags.ERROR: reason, tags.NOTE: reason} if reason else {}))
    journal.end(run, status)
