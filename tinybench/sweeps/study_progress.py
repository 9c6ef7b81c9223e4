"""Report the progress of a study: each trial that ends, and the best values after it."""

from __future__ import annotations

from datetime import datetime

from optuna.trial import FrozenTrial, TrialState

from tinybench.core.errors import TrackingError
from tinybench.sweeps import trial_runs
from tinybench.sweeps.slots import ERROR, RUN_ID
from tinybench.sweeps.study import MAX_FIRST_FAILURES, Study
from tinybench.sweeps.sweep_callbacks import SweepCallbacks
from tinybench.tracking.run_writer import RunWriter


class StudyProgress:
    """The trials of a study in the order in which they ended, logged to the study's run and passed to callbacks.

    Trials that ended before a resume are logged again, which adds no points, and not passed to the callbacks.

    Args:
        study: The study.
        parent: The study's run.
        callbacks: Receives the trials.
    """

    def __init__(self, study: Study, parent: RunWriter, callbacks: SweepCallbacks) -> None:
        self.study = study
        self.parent = parent
        self.callbacks = callbacks
        self._earlier = {trial.number for trial in study.counted_trials()}
        self._closed = {trial.number for trial in study.lost_trials()}
        self._ended: list[FrozenTrial] = []
        self._best_values: dict[str, float] = {}

    def update(self) -> None:
        """Report the trials that ended since the last call, and close the runs of trials whose process died."""
        reported = {trial.number for trial in self._ended}
        trials = [trial for trial in self.study.counted_trials() if trial.number not in reported]
        for trial in sorted(trials, key=lambda trial: trial.datetime_complete or datetime.max):
            self._ended.append(trial)
            self._log_best_values(trial)
            if trial.number not in self._earlier:
                self.callbacks.on_trial_end(self.study, trial, self.study.find_best(self._ended))
        for trial in self.study.lost_trials():
            if trial.number not in self._closed:
                self._closed.add(trial.number)
                if RUN_ID in trial.user_attrs:
                    run = RunWriter(self.parent.store, trial.user_attrs[RUN_ID], foreign=True)
                    trial_runs.close_orphan(run, trial)

    def check_failures(self) -> None:
        """Raise if there is no hope for the trials to come.

        Raises:
            TrackingError: The first trials all failed.
        """
        states = [trial.state for trial in self._ended]
        has_new = len(states) > len(self._earlier)
        if has_new and len(states) >= MAX_FIRST_FAILURES and {*states} == {TrialState.FAIL}:
            raise TrackingError(
                f"All of the first {len(states)} trials failed, the last with: {self._ended[-1].user_attrs[ERROR]} "
                f"Mend it, then run them again by: tinybench sweep --resume {self.study.name} --retry-failed"
            )

    def _log_best_values(self, trial: FrozenTrial) -> None:
        """Log the best values after a trial, at the time of its end: logged twice, they are the same points."""
        if trial.state == TrialState.COMPLETE:
            for objective, value in zip(self.study.space.objectives, trial.values, strict=True):
                choose = max if objective.direction == "maximize" else min
                name = f"best_value/{objective.metric}"
                self._best_values[name] = choose(value, self._best_values.get(name, value))
        if self._best_values:
            ended = trial.datetime_complete or datetime.now()
            timestamp = int(ended.timestamp() * 1000)
            self.parent.log_metrics(self._best_values, len(self._ended), timestamp)
