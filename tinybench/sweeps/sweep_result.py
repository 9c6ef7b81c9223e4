"""The result of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core.html_table import html_table

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from tinybench.sweeps.study import Study
    from tinybench.tracking.results import Result

MOST_TRIALS = 5
"""Trials that are listed as the best."""


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        study: The study, whose state is in its storage.
        best: The best trials, sorted by the first objective, the best first.
        winner: The run with the settings of the best trial; None if it was trained before, or could not be trained.
        settings: File with the settings of the best trial, for `tinybench train --from`.
        unsent: Number of entries that MLflow has not accepted yet.
    """

    study: Study
    best: list[FrozenTrial]
    winner: Result | None
    settings: Path | None
    unsent: int

    def _repr_html_(self) -> str:
        """Return a table of the best trials with their settings, and the test metrics of the winner."""
        space = self.study.space
        keys = [parameter.key for parameter in space.parameters]
        columns = ["trial", *(objective.metric for objective in space.objectives), *keys]
        trials = self.study.top_trials(MOST_TRIALS)
        rows = [(trial.number, *(trial.values or ()), *(trial.params.get(key) for key in keys)) for trial in trials]
        table = html_table(columns, rows, f"Best trials of study {self.study.name}, by validation images")
        return table if self.winner is None else table + self.winner._repr_html_()
