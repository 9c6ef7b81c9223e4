"""Show a sweep on the terminal: a line per trial, a progress bar, and the best trials at the end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tinybench.core.redaction import redact
from tinybench.display.console import Console
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.sweeps.sweep_callbacks import SweepCallbacks
from tinybench.sweeps.sweep_result import MOST_TRIALS

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from rich.console import Console as Terminal

    from tinybench.sweeps.slots import TrialCounts
    from tinybench.sweeps.space import Objective
    from tinybench.sweeps.study import Study
    from tinybench.sweeps.sweep_result import SweepResult

_LEAST_COUNT = 1000  # whole numbers from here on are counts, such as bytes, and are written with separators
_MOST_COUNT = 1e15


class SweepConsole(Console, SweepCallbacks):
    """The display of a sweep, and of the run that trains its winner, on a terminal.

    Args:
        terminal: Where to write; only a real terminal gets a progress bar.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal)
        self._best = ""

    def on_study_begin(self, study: Study, link: str) -> None:
        """Print what is searched and how long; start the progress bar."""
        space = study.space
        objectives = ", ".join(f"{objective.metric} ({objective.direction})" for objective in space.objectives)
        budget = [f"{study.budget} trials"] if study.budget else []
        budget += [f"{space.minutes:g} minutes"] if space.minutes else []
        self._print(f"Study {study.name}: {objectives} over {' and '.join(budget)}; run {link}")
        self._print("Searched settings: " + ", ".join(parameter.key for parameter in space.parameters))
        if self.terminal.is_terminal:
            self._bar = Progress(
                TextColumn("trials"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[status]}"),
                TimeElapsedColumn(),
                *([] if study.budget is None else [TextColumn("remaining"), TimeRemainingColumn()]),
                console=self.terminal,
            )
            self._bar.add_task("", total=study.budget, status="")
            self._bar.start()

    def on_trial_end(self, study: Study, trial: FrozenTrial, best: list[FrozenTrial]) -> None:
        """Print how a trial ended, and with which settings."""
        from tinybench.sweeps.slots import ERROR

        objectives = study.space.objectives
        state = trial.state.name.lower()
        if state == "complete" and trial.values:
            values = zip(objectives, trial.values, strict=True)
            outcome = ", ".join(f"{objective.metric} {_format_metric(value)}" for objective, value in values)
        elif state == "fail":
            outcome = f"failed: {trial.user_attrs[ERROR]}"
        else:
            outcome = f"pruned after epoch {trial.last_step}"
        if trial.number in {best_trial.number for best_trial in best}:
            outcome += ", not beaten so far" if len(objectives) > 1 else ", the best so far"
        self._best = f", best {_format_metric(best[0].values[0])}" if best else ""
        self._print(f"trial {trial.number}: {outcome} ({format_values(trial.params)})")

    def on_study_step(self, counts: TrialCounts, budget: int | None, seconds_left: float | None) -> None:
        """Move the progress bar; `seconds_left` is the rest of a budget in time."""
        if self._bar is not None:
            status = f"{counts.running} running, {counts.pruned} pruned, {counts.failed} failed{self._best}"
            if seconds_left is not None:
                status += f", new trials for {seconds_left / 60:.1f} more minutes"
            self._bar.update(self._bar.task_ids[0], completed=counts.finished, total=budget, status=status)

    def on_winner_begin(self, trial: FrozenTrial, objectives: tuple[Objective, ...]) -> None:
        """Print that a run with the best settings follows."""
        self.close()
        objective = f" in {objectives[0].metric}" if len(objectives) > 1 else ""
        self._print(f"Trial {trial.number} is the best{objective}: a run with its settings is trained and tested now.")

    def print_result(self, result: SweepResult) -> None:
        """Print the best trials, and what can be done with the study."""
        self.close()
        study, counts = result.study, result.study.counts()
        resume = f"tinybench sweep --resume {study.name}"
        self._print(f"{counts.complete} trials complete, {counts.pruned} pruned, {counts.failed} failed.")
        if result.best:
            self._print_top_trials(study)
        if result.settings is not None:
            self._print_to_copy(f"Settings of the best trial: {result.settings}")
            self._print_to_copy(f"To train with them again: tinybench train --from {shlex.quote(study.name)}")
        if result.unsent:
            self._print(
                f"{result.unsent} entries could not be sent to the tracking server. They are stored; to send them: "
                "tinybench sync"
            )
        self._print_to_copy(f"To add trials: {resume} --trials N")
        url = redact(study.storage.url)
        self._print_to_copy(f"For interactive plots: pip install optuna-dashboard; optuna-dashboard {url}")

    def _print_top_trials(self, study: Study) -> None:
        """Print the best trials with their objectives and settings."""
        space, complete = study.space, study.counts().complete
        trials = study.top_trials(MOST_TRIALS)
        title = "The best trial" if complete == 1 else f"The best {len(trials)} of {complete} complete trials"
        if len(space.objectives) > 1:
            front = len(study.best_trials())
            more = f", the first {len(trials)} of them" if front > len(trials) else ""
            title = f"Trials that no other trial beats: {front}{more}"
        columns = (
            Column("trial", right=True),
            *number_columns(*(objective.metric for objective in space.objectives)),
            *(Column(parameter.key, right=not parameter.choices) for parameter in space.parameters),
        )
        rows = []
        for trial in trials:
            settings = [trial.params.get(parameter.key, "") for parameter in space.parameters]
            rows.append([str(trial.number), *map(_format_metric, trial.values), *map(_format_setting, settings)])
        print_table(self.terminal, columns, rows, title)


def format_values(params: Mapping[str, Any]) -> str:
    """Return the settings of a trial in one line."""
    return ", ".join(f"{key} {_format_setting(value)}" for key, value in params.items())


def _format_metric(value: float) -> str:
    is_count = value.is_integer() and _LEAST_COUNT <= abs(value) < _MOST_COUNT
    return f"{value:,.0f}" if is_count else f"{value:.4g}"


def _format_setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
