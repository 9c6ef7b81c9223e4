"""A sweep on the terminal: a line a trial, a bar on a terminal, and the best at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tinybench.cli.console import Console
from tinybench.core.redaction import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.trial import FrozenTrial
    from rich.console import Console as Terminal

    from tinybench.sweeps.slots import Counts
    from tinybench.sweeps.space import Objective
    from tinybench.sweeps.study import Study
    from tinybench.sweeps.sweep_result import Outcome


_COUNT = 1000  # from here, whole numbers are counts


class SweepConsole:
    """Shows a sweep to a person."""

    def __init__(self, terminal: Terminal) -> None:
        """Args: where to write."""
        self.terminal = terminal
        self.console = Console(terminal)
        self._bar: Progress | None = None
        self._best = ""

    def on_study_begin(self, study: Study, link: str) -> None:
        """The study is there."""
        space = study.space
        wanted = ", ".join(f"{each.figure} ({each.direction})" for each in space.objectives)
        budget = [f"{study.budget} trials"] if study.budget else []
        budget += [f"{space.minutes:g} minutes"] if space.minutes else []
        self._line(f"Study {study.name}: {wanted} over {' and '.join(budget)}; run {link}")
        self._line("Searched: " + ", ".join(each.key for each in space.parameters))
        if self.terminal.is_terminal:
            self._bar = Progress(
                TextColumn("trials"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[words]}"),
                TimeElapsedColumn(),
                *([] if study.budget is None else [TextColumn("left"), TimeRemainingColumn()]),
                console=self.terminal,
            )
            self._bar.add_task("", total=study.budget, words="")
            self._bar.start()

    def on_trial_end(self, study: Study, trial: FrozenTrial, best: list[FrozenTrial]) -> None:
        """A line about a trial that ended for good."""
        from tinybench.sweeps.slots import ERROR

        state = trial.state.name.lower()
        if trial.values and state == "complete":
            names = [each.figure for each in study.space.objectives]
            found = ", ".join(f"{name} {_cell(value)}" for name, value in zip(names, trial.values, strict=True))
        else:
            found = "failed: " + trial.user_attrs[ERROR] if state == "fail" else f"pruned after epoch {trial.last_step}"
        words = "no other beats it so far" if len(study.space.objectives) > 1 else "the best so far"
        mark = f", {words}" if trial.number in {each.number for each in best} else ""
        self._best = f", best {_cell(best[0].values[0])}" if best else ""
        self._line(f"trial {trial.number}: {found}{mark} ({described(trial.params)})")

    def on_study_step(self, counts: Counts, budget: int | None, left: float | None) -> None:
        """The bar."""
        if self._bar is not None:
            words = f"{counts.running} running, {counts.pruned} pruned, {counts.failed} failed{self._best}"
            words += "" if left is None else f", {left / 60:.1f} minutes for new ones"
            self._bar.update(self._bar.task_ids[0], completed=counts.done, total=budget, words=words)

    def on_winner_begin(self, trial: FrozenTrial, objectives: tuple[Objective, ...]) -> None:
        """The best configuration is about to be trained as a run."""
        self.close()
        figure = f" in {objectives[0].figure}" if len(objectives) > 1 else ""
        self._line(
            f"Trial {trial.number} is the best{figure}: its settings are trained once more, as a run, and tested."
        )

    def on_message(self, words: str) -> None:
        """What a person should know."""
        self.terminal.print(f"[yellow]Note:[/yellow] {escape(words)}", highlight=False, soft_wrap=True)

    def on_study_end(self, outcome: Outcome) -> None:
        """The best trials, and where everything is."""
        self.close()
        study, counts = outcome.study, outcome.study.counts()
        self._line(f"{counts.complete} trials complete, {counts.pruned} pruned, {counts.failed} failed.")
        if outcome.best:
            self.terminal.print(_table(study, outcome.best))
        if outcome.settings is not None:
            self._line(f"Train it again by: tinybench train --from {outcome.settings}")
        if outcome.unsent:
            self._line(
                f"{outcome.unsent} entries could not be sent to the tracking server. They are kept; send them by: "
                f"tinybench sweep --resume {study.name}"
            )
        self._line(f"More of it by: tinybench sweep --resume {study.name} --trials N")
        self._line(f"Interactive figures: optuna-dashboard {without_secrets(study.storage.url)} (pip install it)")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, text: str) -> None:
        self.terminal.print(text, highlight=False, soft_wrap=True, markup=False)


def described(drawn: Mapping[str, Any]) -> str:
    """The values of a trial in words."""
    return ", ".join(f"{key} {_short(value)}" for key, value in drawn.items())


def _table(study: Study, best: list[FrozenTrial]) -> Table:
    several = len(study.space.objectives) > 1
    table = Table("trial", title="No other trial beats these" if several else "The best trial")
    for each in study.space.objectives:
        table.add_column(each.figure, overflow="fold")
    for parameter in study.space.parameters:
        table.add_column(parameter.key, overflow="fold")
    for trial in best:
        own = [trial.params.get(parameter.key, "") for parameter in study.space.parameters]
        table.add_row(str(trial.number), *map(_cell, trial.values), *map(_short, own))
    return table


def _cell(value: float) -> str:
    """A figure; whole numbers are counts."""
    return f"{value:,.0f}" if value.is_integer() and _COUNT <= abs(value) < 1e15 else f"{value:.4g}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
