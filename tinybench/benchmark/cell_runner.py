"""Run the cells of a plan: start them while there is room, note how they end, and skip those without a chance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tinybench.benchmark.cell_states import (
    ENDED_STATES,
    CellRuns,
    CellState,
    CellStatus,
    count_states,
    find_hopeless,
    read_statuses,
)
from tinybench.benchmark.cell_task import CellTask
from tinybench.core.errors import EngineError, TrackingError
from tinybench.tracking import queries, store, tags

if TYPE_CHECKING:
    from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
    from tinybench.benchmark.cell_engine import CellEngine
    from tinybench.benchmark.grid_plan import GridPlan, PlannedCell, StoreNotes
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker

_POLL_SECONDS = 0.5  # between two looks at the processes
_LOOK_SECONDS = 10.0  # between two looks at the runs of other processes
_RUNNABLE = (CellState.WAITING, CellState.KILLED)


class CellRunner:
    """Runs the cells of a plan.

    Args:
        plan: The plan, which this process holds.
        tracker: The store of the runs.
        callbacks: Receives the events.
        workers: Cells at a time.

    Attributes:
        runs: The runs of the cells, as they were when they were last read.
        statuses: The states of the cells by number.
        skipped: The models whose other cells are not tried, with the reason.
    """

    def __init__(self, plan: GridPlan, tracker: Tracker, callbacks: BenchmarkCallbacks, workers: int) -> None:
        self.plan = plan
        self.tracker = tracker
        self.callbacks = callbacks
        self.workers = workers
        self.notes: StoreNotes = plan.notes(store.identity(tracker.uri))
        self.runs = read_runs(tracker, plan.name)
        self.statuses: dict[int, CellStatus] = {}
        self.skipped: dict[str, str] = {}
        self._started: dict[int, float] = {}  # when cells began, of those that were not resumed
        self._looked_at = 0.0

    @property
    def cells(self) -> Mapping[int, PlannedCell]:
        """The cells by number."""
        return {cell.number: cell for cell in self.plan.active_cells}

    @property
    def have_ended(self) -> bool:
        """Return whether all cells are finished, have failed, or are not tried because others of the model failed."""
        return all(
            status.state in ENDED_STATES or self.cells[number].config.model in self.skipped
            for number, status in self.statuses.items()
        )

    def count(self, state: CellState) -> int:
        """Return how many cells are in a state."""
        return count_states(self.statuses.values())[state]

    @property
    def is_away(self) -> bool:
        """Return whether the store does not answer."""
        return self.tracker.error is not None

    def read_statuses(self) -> None:
        """Read the runs, mark those KILLED whose process is gone, and derive the states of all cells."""
        self.read_runs()
        known = read_statuses(self.plan, self.runs, self.notes, is_away=self.is_away)
        self.statuses = {number: status for number, status in known.items() if number in self.cells}

    def forget_failures(self) -> None:
        """Have failed cells run again; one whose process was ended from outside is resumed from its checkpoint."""
        for number, status in self.statuses.items():
            if status.state == CellState.FAILED:
                self.notes.failures.pop(str(number), None)
                now = self.runs.status_of(self.cells[number], self.notes, is_away=self.is_away)
                self.statuses[number] = now if now.state == CellState.KILLED else CellStatus(CellState.WAITING)

    def run(self, engine: CellEngine, parent: RunWriter) -> None:
        """Run the cells that are not finished, and wait until all have ended, also those of other processes.

        Args:
            engine: What runs their processes.
            parent: The run of the benchmark.
        """
        self._adopt_jobs(engine)
        queue = [number for number, status in self.statuses.items() if status.state in _RUNNABLE]
        while True:
            for number, reason in engine.take_ended().items():
                self._conclude_cell(number, reason)
            queue += self._look_elsewhere(engine)
            self._skip_hopeless(queue)
            while queue and engine.has_room:
                self._start_cell(queue.pop(0), engine, parent)
            while (notice := parent.store.take_notice()) is not None:
                self.callbacks.on_message(notice)
            self.callbacks.on_benchmark_step(count_states(self.statuses.values()))
            if not queue and not engine.numbers and not self._running_elsewhere(engine):
                return
            time.sleep(_POLL_SECONDS)

    def _adopt_jobs(self, engine: CellEngine) -> None:
        """Take over the jobs of an earlier driver that still wait or run.

        Raises:
            EngineError: A job of another engine may still wait, so that its cell would be run twice.
        """
        for key, job in [*self.notes.jobs.items()]:
            number = int(key)
            if number not in self.statuses:  # its cell may belong to the specification again
                continue
            status = self.statuses[number]
            if status.state not in ENDED_STATES and self._adopt(engine, number, job):
                self.statuses[number] = CellStatus(CellState.RUNNING, status.run_id)
                self.callbacks.on_message(f"Cell {number} goes on: job {job} waits or runs.")
            else:
                del self.notes.jobs[key]

    def _adopt(self, engine: CellEngine, number: int, job: str) -> bool:
        if number in engine.numbers:
            return False
        try:
            return engine.adopt(number, job)
        except EngineError:
            if self.statuses[number].state == CellState.WAITING:  # else its run tells how it is
                raise
            return False

    def _running_elsewhere(self, engine: CellEngine) -> list[int]:
        running = [number for number, status in self.statuses.items() if status.state == CellState.RUNNING]
        return [number for number in running if number not in engine.numbers]

    def _look_elsewhere(self, engine: CellEngine) -> list[int]:
        """Look for the end of cells that other processes run, and return those that are to be run here after all."""
        running = self._running_elsewhere(engine)
        if not running or time.monotonic() < self._looked_at + _LOOK_SECONDS:
            return []
        if not self._looked_at:
            names = ", ".join(map(str, running))
            self.callbacks.on_message(f"Waiting for what another process runs: cell {names}.")
        self._looked_at = time.monotonic()
        self.read_runs()
        if self.is_away:  # nothing is known of them until the store answers again
            return []
        for number in running:
            status = self.runs.status_of(self.cells[number], self.notes, is_away=self.is_away)
            self.statuses[number] = status
            if status.state in ENDED_STATES:
                self.callbacks.on_cell_end(self.cells[number], status)
        return [number for number in running if self.statuses[number].state in _RUNNABLE]

    def _skip_hopeless(self, queue: list[int]) -> None:
        hopeless = find_hopeless(self.cells.values(), self.statuses)
        for model, reason in hopeless.items():
            skipped = [number for number in queue if self.cells[number].config.model == model]
            if skipped and model not in self.skipped:
                self.skipped[model] = reason
                name = self.cells[skipped[0]].config.model_name
                self.callbacks.on_message(
                    f"The other {len(skipped)} cells of {name} are not tried: several failed for the same reason."
                )
        queue[:] = [number for number in queue if self.cells[number].config.model not in self.skipped]

    def _start_cell(self, number: int, engine: CellEngine, parent: RunWriter) -> None:
        cell, before = self.cells[number], self.statuses[number]
        can_resume = before.state == CellState.KILLED and before.can_resume and not cell.is_probe
        resume = before.run_id if can_resume else ""
        run_tags = {
            tags.BENCHMARK: self.plan.name,
            tags.CELL: str(number),
            tags.CELL_KEY: cell.key,
            tags.CELL_WORKERS: str(self.workers),
        }
        settings = cell.config.flat() | {"track.uri": None, "track.run_name": None}
        job = engine.start(number, CellTask(settings, parent.id, run_tags, resume, cell.is_probe))
        if job:
            self.notes.jobs[str(number)] = job
            self.plan.save()
        self.statuses[number] = CellStatus(CellState.RUNNING)
        if not resume:
            self._started[number] = time.monotonic()
        self.callbacks.on_cell_begin(cell, resumed=bool(resume))

    def _conclude_cell(self, number: int, reason: str) -> None:
        """Note how a cell ended: by its run, or where it left none by what its process said."""
        cell, key, now = self.cells[number], str(number), time.monotonic()
        self.notes.seconds[key] = now - self._started.pop(number, now)
        self.notes.jobs.pop(key, None)
        self.read_runs()
        status = self.runs.status_of(cell, self.notes, is_away=self.is_away)
        if not reason:
            if status.state != CellState.FINISHED:  # the store has not been told yet
                status = CellStatus(CellState.FINISHED, status.run_id)
            self.notes.finished[key] = status.run_id
        elif status.state != CellState.FINISHED:
            failure = status.reason if status.state == CellState.FAILED else reason
            self.notes.failures[key] = failure
            status = replace(status, state=CellState.FAILED, reason=failure)
        self.plan.save()
        self.statuses[number] = status
        self.callbacks.on_cell_end(cell, status)

    def read_runs(self) -> None:
        """Read the runs of the cells, and mark those KILLED whose process is gone."""
        self.runs = read_runs(self.tracker, self.plan.name)
        if self.runs.mark_dead(self.tracker):
            self.runs = read_runs(self.tracker, self.plan.name)


def read_runs(tracker: Tracker, name: str) -> CellRuns:
    """Return the runs of a benchmark, none if the store does not answer and this machine knows none.

    Raises:
        TrackingError: The store refuses the request.
    """
    try:
        return CellRuns(queries.find_benchmark_runs(tracker, name))
    except TrackingError:
        if tracker.error is not None:
            return CellRuns([])
        raise
