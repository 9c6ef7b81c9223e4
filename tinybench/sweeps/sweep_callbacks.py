"""Receive the events of a sweep: the terminal and tests implement the methods that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from tinybench.sweeps.slots import TrialCounts
    from tinybench.sweeps.space import Objective
    from tinybench.sweeps.study import Study


class SweepCallbacks(RunCallbacks):
    """Receive the events of a sweep, and those of the run that trains its winner; every method does nothing.

    An exception that a method raises ends the sweep; `tinybench sweep --resume` goes on with it.
    """

    def on_study_begin(self, study: Study, link: str) -> None:
        """Handle a study whose trials are about to begin; `link` is the page of its run in the MLflow UI."""

    def on_trial_end(self, study: Study, trial: FrozenTrial, best: list[FrozenTrial]) -> None:
        """Handle a trial that ended for good; `best` are the best trials so far."""

    def on_study_step(self, counts: TrialCounts, budget: int | None, seconds_left: float | None) -> None:
        """Handle the progress of a study, once a second.

        Args:
            counts: The trials so far.
            budget: The number of trials in the end; None where only the time is limited.
            seconds_left: What is left of a time budget, None without one.
        """

    def on_winner_begin(self, trial: FrozenTrial, objectives: tuple[Objective, ...]) -> None:
        """Handle the best trial, whose settings are about to be trained as a run; the events of a run follow."""
