"""Trials as MLflow runs, each a child of the study's run; written by a journal, so that no trial waits for MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinybench.config import RunConfig
from tinybench.sweeps.study import RETRY, Study
from tinybench.tracking import provenance
from tinybench.tracking.journal import Journal
from tinybench.tracking.run import ERROR_TAG

if TYPE_CHECKING:
    from tinybench.training.progress import Epoch

TRIAL_TAG = "tinybench.trial"
STATE_TAG = "tinybench.trial.state"
STUDY_TAG = "tinybench.study"

_PARENT_TAG = "mlflow.parentRunId"
_NOTE_TAG = "mlflow.note.content"
_PARAMS_A_CALL = 100


class Tracked:
    """Records the trials of one worker."""

    def __init__(self, journal: Journal, experiment: str, parent: str) -> None:
        """Args: where to write, the experiment, and the study's run."""
        self.journal = journal
        self.experiment = experiment
        self.parent = parent
        self._origin = provenance.source() | provenance.tags()  # of this process: asked for once

    def begin(self, study: Study, number: int, attributes: Mapping[str, Any]) -> str:
        """Open a trial's run; gives its id, or a stand-in while the store does not answer."""
        tags = {_PARENT_TAG: self.parent, STUDY_TAG: study.name, TRIAL_TAG: str(number), STATE_TAG: "running"}
        if RETRY in attributes:
            tags[f"{TRIAL_TAG}.{RETRY}"] = str(attributes[RETRY])
        return self.journal.create(self.experiment, f"trial {number}", self._origin | tags)

    def seed(self, run: str, seed: int) -> str:
        """Open the run of one training of a trial."""
        tags = {_PARENT_TAG: self.journal.known(run), "tinybench.seed": str(seed)}
        return self.journal.create(self.experiment, f"seed {seed}", self._origin | tags)

    def settings(self, run: str, config: RunConfig) -> None:
        """The whole configuration, as every run has it."""
        words = [*config.words().items()]
        for start in range(0, len(words), _PARAMS_A_CALL):
            self.journal.params(run, dict(words[start : start + _PARAMS_A_CALL]))
        self.journal.text(run, json.dumps(config.shown(), indent=1), "config.json")

    def epoch(self, run: str, epoch: Epoch) -> None:
        """A point of the curves."""
        self.journal.metrics(run, epoch.metrics, epoch.number, epoch.timestamp)

    def complete(self, run: str, figures: Mapping[str, float], step: int) -> None:
        """The figures of a trial that was trained to its end."""
        self.journal.metrics(run, figures, step, self.journal.now())
        _end(self.journal, run, "FINISHED", "complete", "")

    def pruned(self, run: str | None, reason: str) -> None:
        """A trial that was stopped, since others did better: KILLED, so that nobody takes it for finished."""
        _end(self.journal, run, "KILLED", "pruned", reason)

    def failed(self, run: str | None, reason: str) -> None:
        """A trial that came to nothing."""
        _end(self.journal, run, "FAILED", "failed", reason)

    def lost(self, run: str | None, reason: str) -> None:
        """A trial that counts for nothing."""
        lost(self.journal, run, reason)


def lost(journal: Journal, run: str | None, reason: str) -> None:
    """Close the run of a trial that counts for nothing."""
    _end(journal, run, "KILLED", "lost", reason)


def _end(journal: Journal, run: str | None, status: str, state: str, reason: str) -> None:
    if run is None:
        return
    journal.tags(run, {STATE_TAG: state} | ({ERROR_TAG: reason, _NOTE_TAG: reason} if reason else {}))
    journal.end(run, status)
