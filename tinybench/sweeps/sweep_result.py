"""What a sweep tells while it goes on, and what it gives at its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from tinybench.cli.console import Console
    from tinybench.sweeps.slots import Counts
    from tinybench.sweeps.space import Objective
    from tinybench.sweeps.study import Study
    from tinybench.tracking.results import Result


class Watcher(Protocol):
    """Who is told how far a sweep is."""

    @property
    def console(self) -> Console:
        """Where the winner's training is shown."""

    def on_study_begin(self, study: Study, link: str) -> None:
        """The study is there."""

    def on_trial_end(self, study: Study, trial: FrozenTrial, best: list[FrozenTrial]) -> None:
        """A trial ended for good; `best` are those so far that no other beats."""

    def on_study_step(self, counts: Counts, budget: int | None, left: float | None) -> None:
        """Once a second; `left` are the seconds of the budget, where it is one of time."""

    def on_winner_begin(self, trial: FrozenTrial, objectives: tuple[Objective, ...]) -> None:
        """The best configuration is about to be trained as a run."""

    def on_message(self, words: str) -> None:
        """What a person should know."""


@dataclass(frozen=True)
class Outcome:
    """What a sweep found.

    Attributes:
        study: Its state is in its storage.
        best: The best trials, the best in the first objective first; none if no trial was completed.
        winner: The run of the best configuration, if it was trained now.
        settings: The file of its settings, for `tinybench train --from`.
        unsent: What MLflow did not take, in entries.
    """

    study: Study
    best: list[FrozenTrial]
    winner: Result | None
    settings: Path | None
    unsent: int
