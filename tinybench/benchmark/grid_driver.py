"""Drive a benchmark from its cells to its end; start reading this package here.

The driver numbers the cells, derives their states from their runs, and runs those that are not finished, each in a
process. It may be killed at any moment: the next one goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinybench.benchmark.cell_key import list_contents
from tinybench.benchmark.cell_processes import CellProcesses
from tinybench.benchmark.cell_states import CellRuns, CellState, CellStatus, count_states, find_hopeless, read_statuses
from tinybench.benchmark.cell_table import log_cells
from tinybench.benchmark.cell_task import CellTask
from tinybench.benchmark.grid import describe_cell
from tinybench.benchmark.grid_overview import Estimate, GridOverview, make_groups
from tinybench.benchmark.grid_plan import GridPlan, PlanChange, PlannedCell, StoreNotes
from tinybench.core.errors import TinybenchError, TrackingError
from tinybench.core.redaction import redact
from tinybench.job import preflight
from tinybench.tracking import queries, run_kinds, store, tags
from tinybench.tracking.run_writer import RunWriter, status_and_reason
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
    from tinybench.config.run_config import RunConfig
    from tinybench.config.sections import TrackConfig

_POLL_SECONDS = 0.5  # between two looks at the processes
_TO_RUN = (CellState.WAITING, CellState.KILLED)


class CellFailuresError(TrackingError):
    """Cells of a benchmark failed or were not tried."""


@dataclass(frozen=True)
class BenchmarkResult:
    """The result of a benchmark.

    Attributes:
        name: Its name.
        run_id: Its run, whose children are those of the cells.
        cells: Its cells.
        statuses: Their states by number.
        skipped: The models whose other cells were not tried, with the reason.
    """

    name: str
    run_id: str
    cells: tuple[PlannedCell, ...]
    statuses: dict[int, CellStatus]
    skipped: dict[str, str]


def preview(
    name: str,
    cells: Sequence[RunConfig] | None,
    track: TrackConfig,
    *,
    workers: int = 1,
    estimate: Estimate | None = None,
) -> GridOverview:
    """Return what a benchmark would do; nothing is written.

    Args:
        name: Its name.
        cells: The configuration of each cell; None for those of the plan.
        track: Where it would be tracked.
        workers: Cells at a time.
        estimate: Estimates what a run takes.

    Raises:
        TinybenchError: The benchmark could only fail.
    """
    plan = GridPlan(name)
    cells = _list_configs(plan, cells)
    contents = _check_cells(cells)
    uri = track.uri or store.default_uri()
    file = store.sqlite_path(uri)
    tracker = None if file is not None and not file.exists() else Tracker(track, may_be_away=True, opens_runs=False)
    runs = _read_runs(tracker, name) if tracker else CellRuns([])
    change = plan.set_cells(cells, contents, runs.numbers)
    statuses = read_statuses(plan, runs, plan.notes(store.identity(uri)), is_away=_is_away(tracker))
    return _overview(plan, statuses, change, workers, estimate)


def run_cells(
    name: str,
    cells: Sequence[RunConfig] | None,
    track: TrackConfig,
    callbacks: BenchmarkCallbacks,
    *,
    workers: int = 1,
    retry_failed: bool = False,
    estimate: Estimate | None = None,
) -> BenchmarkResult:
    """Run the cells of a benchmark that are not finished.

    Args:
        name: Its name.
        cells: The configuration of each cell; None to go on with those of the plan.
        track: Where it is tracked.
        callbacks: Receives the events.
        workers: Cells at a time.
        retry_failed: Whether cells that failed are run again.
        estimate: Estimates what a run takes.

    Raises:
        TrackingError: Another process runs this benchmark, or there is none of this name to go on with.
        TinybenchError: The benchmark could only fail.
    """
    plan = GridPlan(name)
    configs = _list_configs(plan, cells)
    contents = _check_cells(configs)  # before anything is created that would have to be removed again
    tracker = Tracker(track, may_be_away=True)
    with plan.hold(), closing(tracker):
        tracker.check_parent_run()
        runs = _read_runs(tracker, name)
        change = plan.set_cells(configs, contents, runs.numbers)
        driver = _Driver(plan, tracker, runs, callbacks, workers)
        driver.tell_state(change, estimate, retry_failed=retry_failed)
        return driver.run()


def _list_configs(plan: GridPlan, cells: Sequence[RunConfig] | None) -> list[RunConfig]:
    """Return the configurations of the cells, those of the plan if None.

    Raises:
        TrackingError: The plan has none.
    """
    configs = [cell.config for cell in plan.active_cells] if cells is None else [*cells]
    if not configs:
        raise TrackingError(
            f"There is no benchmark {plan.name!r} on this machine to go on with: give its models and data."
        )
    return configs


def _check_cells(cells: Sequence[RunConfig]) -> list[dict[str, str]]:
    """Raise if a cell could only fail, and return the hashes of the data and files of all."""
    for config in {(config.recipe, config.model, config.dataset): config for config in cells}.values():
        try:
            preflight.check_run(config)
        except TinybenchError as error:
            raise type(error)(f"{describe_cell(config)}: {error}") from error
    return [dict(content) for content in list_contents(cells)]


def _is_away(tracker: Tracker | None) -> bool:
    return tracker is not None and tracker.error is not None


def _read_runs(tracker: Tracker, name: str) -> CellRuns:
    try:
        return CellRuns(queries.find_benchmark_runs(tracker, name))
    except TrackingError:
        if _is_away(tracker):  # this machine knows no run either
            return CellRuns([])
        raise


def _overview(
    plan: GridPlan, statuses: dict[int, CellStatus], change: PlanChange, workers: int, estimate: Estimate | None
) -> GridOverview:
    cells = tuple(plan.active_cells)
    return GridOverview(plan.name, cells, statuses, change, make_groups(cells, statuses, estimate), workers)


class _Driver:
    """Runs the cells of a plan; the arguments are what it is about."""

    def __init__(
        self, plan: GridPlan, tracker: Tracker, runs: CellRuns, callbacks: BenchmarkCallbacks, workers: int
    ) -> None:
        self.plan = plan
        self.tracker = tracker
        self.runs = runs
        self.callbacks = callbacks
        self.workers = workers
        self.notes: StoreNotes = plan.notes(store.identity(tracker.uri))
        self.cells = {cell.number: cell for cell in plan.active_cells}
        self.statuses = self._read_statuses()
        self.skipped: dict[str, str] = {}
        self.started: dict[int, float] = {}  # when cells began, of those that were not resumed

    def _read_statuses(self) -> dict[int, CellStatus]:
        return read_statuses(self.plan, self.runs, self.notes, is_away=_is_away(self.tracker))

    def tell_state(self, change: PlanChange, estimate: Estimate | None, *, retry_failed: bool) -> None:
        """Tell the whole state before anything begins; mark runs KILLED whose process is gone."""
        if self.runs.mark_dead(self.tracker):
            self.runs = _read_runs(self.tracker, self.plan.name)
            self.statuses = self._read_statuses()
        self.callbacks.on_overview(_overview(self.plan, self.statuses, change, self.workers, estimate))
        if retry_failed:
            for number, status in self.statuses.items():
                if status.state == CellState.FAILED:
                    self.notes.failures.pop(str(number), None)
                    self.statuses[number] = CellStatus(CellState.WAITING)

    def run(self) -> BenchmarkResult:
        """Run the cells in the run of the benchmark, which a resume opens again."""
        parent = self._open_parent_run()
        with self._end_parent_run(parent):
            link = self.tracker.link(parent) or f"{parent.id}, not sent to {redact(self.tracker.uri)} yet"
            self.callbacks.on_benchmark_begin(len(self.cells), link)
            try:
                with CellProcesses(self.workers, self.tracker.uri) as processes:
                    self._run_all(processes, parent)
            finally:
                self._read_again()
                self.plan.save()
                log_cells(parent, self.plan.active_cells, self.statuses)
            self._raise_failures()
        return BenchmarkResult(self.plan.name, parent.id, (*self.cells.values(),), self.statuses, self.skipped)

    def _open_parent_run(self) -> RunWriter:
        run_id = self.notes.parent_run or self.runs.parent_run
        run: RunWriter | None = None
        if run_id is not None:
            try:
                run = self.tracker.reopen(self.tracker.get_run(run_id))
            except TrackingError:
                if _is_away(self.tracker):
                    raise
                self.callbacks.on_message(f"Run {run_id} of this benchmark is gone: a new one is opened.")
        if run is None:
            run = self.tracker.open_parent_run(f"benchmark {self.plan.name}", run_kinds.BENCHMARK)
            run.set_tags({tags.BENCHMARK: self.plan.name})
            run.log_params({"benchmark.name": self.plan.name})
        self.notes.parent_run = run.id
        self.plan.save()
        return run

    @contextmanager
    def _end_parent_run(self, parent: RunWriter) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if not isinstance(error, CellFailuresError):  # which says how to go on
                error.add_note(f"Go on with: tinybench benchmark --resume {self.plan.name}")
            parent.end(*status_and_reason(error))
            raise
        parent.end("FINISHED")

    def _run_all(self, processes: CellProcesses, parent: RunWriter) -> None:
        """Start cells while there is room, and wait until all have ended."""
        queue = [number for number, status in self.statuses.items() if status.state in _TO_RUN]
        while True:
            for number, reason in processes.take_ended().items():
                self._conclude_cell(number, reason)
            self._skip_hopeless(queue)
            while queue and processes.has_room:
                self._start_cell(queue.pop(0), processes, parent)
            while (notice := parent.store.take_notice()) is not None:
                self.callbacks.on_message(notice)
            self.callbacks.on_benchmark_step(count_states(self.statuses.values()))
            if not queue and not processes.numbers:
                return
            time.sleep(_POLL_SECONDS)

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

    def _start_cell(self, number: int, processes: CellProcesses, parent: RunWriter) -> None:
        cell, before = self.cells[number], self.statuses[number]
        resume = before.run_id if before.state == CellState.KILLED and before.can_resume else ""
        run_tags = {
            tags.BENCHMARK: self.plan.name,
            tags.CELL: str(number),
            tags.CELL_KEY: cell.key,
            tags.CELL_WORKERS: str(self.workers),
        }
        settings = cell.config.flat() | {"track.uri": None, "track.run_name": None}
        processes.start(number, CellTask(settings, parent.id, run_tags, resume))
        self.statuses[number] = CellStatus(CellState.RUNNING)
        if not resume:
            self.started[number] = time.monotonic()
        self.callbacks.on_cell_begin(cell, resumed=bool(resume))

    def _conclude_cell(self, number: int, reason: str) -> None:
        """Take down how a cell ended: by its run, or where it left none by what its process said."""
        cell, key, now = self.cells[number], str(number), time.monotonic()
        self.notes.seconds[key] = now - self.started.pop(number, now)
        self._read_again()
        status = self.runs.status_of(cell, self.notes, is_away=_is_away(self.tracker))
        if not reason:
            if status.state != CellState.FINISHED:  # the store has not been failure yet
                status = CellStatus(CellState.FINISHED, status.run_id)
            self.notes.finished[key] = status.run_id
        elif status.state != CellState.FINISHED:
            failure = status.reason if status.state == CellState.FAILED else reason
            self.notes.failures[key] = failure
            status = replace(status, state=CellState.FAILED, reason=failure)
        self.plan.save()
        self.statuses[number] = status
        self.callbacks.on_cell_end(cell, status)

    def _read_again(self) -> None:
        """Read the runs of the cells, and mark those KILLED whose process is gone."""
        self.runs = _read_runs(self.tracker, self.plan.name)
        if self.runs.mark_dead(self.tracker):
            self.runs = _read_runs(self.tracker, self.plan.name)

    def _raise_failures(self) -> None:
        """Raise if a cell has failed or was not tried, so that the run of the benchmark says so, too."""
        counts = count_states(self.statuses.values())
        missing = len(self.cells) - counts[CellState.FINISHED]
        if not missing:
            return
        failed = [(cell, self.statuses[cell.number]) for cell in self.cells.values()]
        failed = [(cell, status) for cell, status in failed if status.state == CellState.FAILED]
        first = f" The first: cell {failed[0][0].number}, {failed[0][1].reason}" if failed else ""
        not_tried = f", {missing - len(failed)} were not tried" if missing > len(failed) else ""
        raise CellFailuresError(
            f"{len(failed)} of {len(self.cells)} cells failed{not_tried}.{first} "
            f"Run them again with: tinybench benchmark --resume {self.plan.name} --retry-failed"
        )
