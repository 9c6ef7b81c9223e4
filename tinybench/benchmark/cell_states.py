"""The state of each cell of a benchmark, derived from its runs, so that a driver that was killed loses nothing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tinybench.tracking import dead_runs, tags
from tinybench.tracking.run_reader import key_of
from tinybench.training import run_directory

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.benchmark.grid_plan import GridPlan, PlannedCell, StoreNotes
    from tinybench.tracking.tracker import Tracker

MAX_SAME_FAILURES = 3
"""Cells of a model that fail for the same reason, after which the other cells of that model are not tried."""
_NUMBERS = re.compile(r"\d+")


class CellState(StrEnum):
    """State of a cell."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


ENDED_STATES = (CellState.FINISHED, CellState.FAILED)
"""The states of cells that are not run, unless failed ones are to be run again."""


@dataclass(frozen=True)
class CellStatus:
    """The state of a cell.

    Attributes:
        state: The state.
        run_id: Its run; empty if there is none.
        reason: Why it failed or was killed.
        metrics: The metrics of a finished run, as far as the store answers.
        seconds: How long a finished cell took; 0 if it was interrupted.
        can_resume: Whether there are checkpoints from which a killed cell is resumed.
    """

    state: CellState
    run_id: str = ""
    reason: str = ""
    metrics: Mapping[str, float] | None = None
    seconds: float = 0.0
    can_resume: bool = False


class CellRuns:
    """The runs of the cells of a benchmark in a store.

    Args:
        runs: The run of the benchmark and those of its cells, the newest first.

    Attributes:
        runs: The runs of each cell by its key, the newest first.
        numbers: The numbers by key that the runs name.
        parent_run: The id of the newest run of the benchmark itself; None if there is none.
    """

    def __init__(self, runs: Iterable[MlflowRun]) -> None:
        self.runs: dict[str, list[MlflowRun]] = defaultdict(list)
        self.numbers: dict[str, int] = {}
        self.parent_run: str | None = None
        for run in runs:
            key, number = run.data.tags.get(tags.CELL_KEY), run.data.tags.get(tags.CELL, "")
            if key and number.isdigit():
                self.runs[key].append(run)
                self.numbers[key] = int(number)
            elif not key and self.parent_run is None:
                self.parent_run = run.info.run_id

    def mark_dead(self, tracker: Tracker) -> int:
        """Mark the runs KILLED whose process is gone, with the runs of their phases, and return how many cells."""
        if tracker.error is not None:
            return 0
        dead = [dead_run for runs in self.runs.values() for run in runs if (dead_run := _judge(run))]
        for dead_run in dead:
            for child in tracker.find_running_children(dead_run.run.info.run_id):
                phase = _judge(child)
                if phase is not None:
                    dead_runs.mark_killed(tracker.client, phase)
            dead_runs.mark_killed(tracker.client, dead_run)
        return len(dead)

    def status_of(self, cell: PlannedCell, notes: StoreNotes, *, is_away: bool = False) -> CellStatus:
        """Return the state of a cell.

        Args:
            cell: The cell.
            notes: What this machine knows besides.
            is_away: The store does not answer.
        """
        number, runs = str(cell.number), self.runs.get(cell.key, [])
        finished = next((run for run in runs if run.info.status == "FINISHED"), None)
        if finished is not None:
            ended_at = finished.info.end_time or finished.info.start_time
            seconds = notes.seconds.get(number, (ended_at - finished.info.start_time) / 1000)
            return CellStatus(
                CellState.FINISHED, finished.info.run_id, metrics=dict(finished.data.metrics), seconds=seconds
            )
        if is_away and number in notes.finished:
            return CellStatus(CellState.FINISHED, notes.finished[number])
        last = runs[0] if runs else None
        run_id = last.info.run_id if last else ""
        if number in notes.failures:
            return CellStatus(CellState.FAILED, run_id, notes.failures[number])
        if last is None:
            return CellStatus(CellState.WAITING)
        reason = last.data.tags.get(tags.ERROR, "")
        if last.info.status == "FAILED":
            return CellStatus(CellState.FAILED, run_id, reason or "its run says no reason")
        if last.info.status == "RUNNING" and _judge(last) is None:
            return CellStatus(CellState.RUNNING, run_id)
        can_resume = run_directory.can_resume(key_of(last)) or tags.REMOTE_CHECKPOINTS in last.data.tags
        return CellStatus(CellState.KILLED, run_id, reason or "its process is gone", can_resume=can_resume)


def _judge(run: MlflowRun) -> dead_runs.DeadRun | None:
    return dead_runs.judge_run(run) if run.info.status == "RUNNING" else None


def read_statuses(plan: GridPlan, runs: CellRuns, notes: StoreNotes, *, is_away: bool = False) -> dict[int, CellStatus]:
    """Return the states of the cells of the present specification by number."""
    return {cell.number: runs.status_of(cell, notes, is_away=is_away) for cell in plan.active_cells}


def count_states(statuses: Iterable[CellStatus]) -> Counter[CellState]:
    """Return the number of cells in each state."""
    return Counter(status.state for status in statuses)


def find_hopeless(cells: Iterable[PlannedCell], statuses: Mapping[int, CellStatus]) -> dict[str, str]:
    """Return the models of which too many cells failed for the same reason, with that reason.

    Reasons that differ only in numbers are the same.
    """
    counts: Counter[tuple[str, str]] = Counter()
    reason_of_model: dict[str, str] = {}
    for cell in cells:
        status = statuses[cell.number]
        if status.state == CellState.FAILED:
            kind = cell.config.model, _NUMBERS.sub("0", status.reason)
            counts[kind] += 1
            if counts[kind] >= MAX_SAME_FAILURES:
                reason_of_model.setdefault(cell.config.model, status.reason)
    return reason_of_model
