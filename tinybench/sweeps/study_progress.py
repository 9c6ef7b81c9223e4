"""What the driver tells of a study while it goes on: each trial that ends, and the best value after it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from tinybench.core.errors import TrackingError
from tinybench.sweeps import trial_runs
from tinybench.sweeps.slots import ERROR, RUN
from tinybench.sweeps.study import Study

if TYPE_CHECKING:
    from tinybench.sweeps.sweep_result import Watcher
    from tinybench.tracking.journal import Journal

_MOST_FAILURES = 5  # of the first trials, from which on the others would fail as well


class Story:
    """Trials in the order in which they ended; those of before a resume are logged again, which changes nothing."""

    def __init__(self, study: Study, journal: Journal, parent: str, watcher: Watcher) -> None:
        """Args: the study, a writer to its run `parent`, and who is told."""
        self.study, self.journal, self.parent, self.watcher = study, journal, parent, watcher
        self._old = {trial.number for trial in study.counted()}
        self._buried = {trial.number for trial in study.dead()}
        self._ended: list[FrozenTrial] = []
        self._best: dict[str, float] = {}

    def goes_on(self) -> None:
        """Tell what happened since."""
        known = {trial.number for trial in self._ended}
        fresh = [trial for trial in self.study.counted() if trial.number not in known]
        for trial in sorted(fresh, key=lambda each: each.datetime_complete or datetime.max):
            self._ended.append(trial)
            self._log(trial)
            if trial.number not in self._old:
                self.watcher.on_trial_end(self.study, trial, self.study.best_of(self._ended))
        self._bury()

    def check(self) -> None:
        """End a study that comes to nothing.

        Raises:
            TrackingError: the first trials all failed.
        """
        states = [trial.state for trial in self._ended]
        fresh = len(states) - len(self._old)
        if fresh and len(states) >= _MOST_FAILURES and {*states} == {TrialState.FAIL}:
            raise TrackingError(
                f"All of the first {len(states)} trials failed, the last with: {self._ended[-1].user_attrs[ERROR]} "
                f"Mend it, then give them out again by: tinybench sweep --resume {self.study.name} --retry-failed"
            )

    def _log(self, trial: FrozenTrial) -> None:
        """The best values so far, at the moment when they were: sent twice, they are the same points."""
        if trial.state == TrialState.COMPLETE:
            for each, value in zip(self.study.space.objectives, trial.values, strict=True):
                better = max if each.direction == "maximize" else min
                name = f"best_value/{each.figure}"
                self._best[name] = better(value, self._best.get(name, value))
        if self._best:
            ended = trial.datetime_complete or datetime.now()
            self.journal.log_metrics(self.parent, self._best, len(self._ended), int(ended.timestamp() * 1000))

    def _bury(self) -> None:
        """Close the runs of trials whose process died, which could not do so itself."""
        for trial in self.study.dead():
            if trial.number not in self._buried:
                self._buried.add(trial.number)
                if RUN in trial.user_attrs and not self.journal.is_placeholder(trial.user_attrs[RUN]):
                    trial_runs.close(self.journal, trial.user_attrs[RUN], trial)
