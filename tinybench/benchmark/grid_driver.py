"""Drive a benchmark from its cells to its end; start reading this package here.

The driver numbers the cells, derives their states from their runs, and has those that are not finished run, each in a
process. Once all have ended, extensions may add cells that follow from the results: the next rung of a halving, or
seeds that would settle a pair of models. The driver may be killed at any moment: the next one goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tinybench.benchmark.cell_key import Contents, list_contents
from tinybench.benchmark.cell_processes import open_processes
from tinybench.benchmark.cell_runner import CellRunner, read_runs
from tinybench.benchmark.cell_states import CellRuns, CellState, CellStatus, count_states, read_statuses
from tinybench.benchmark.cell_table import log_cells
from tinybench.benchmark.grid import CellSpec, describe_cell
from tinybench.benchmark.grid_overview import Estimate, GridOverview, GroupOverview, LaterCells, make_groups
from tinybench.benchmark.grid_plan import GridPlan, PlanChange, PlannedCell
from tinybench.core.errors import TinybenchError, TrackingError
from tinybench.core.redaction import redact
from tinybench.job import preflight
from tinybench.tracking import run_kinds, store, tags
from tinybench.tracking.run_writer import RunWriter, status_and_reason
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
    from tinybench.benchmark.cell_engine import CellEngine
    from tinybench.config.sections import TrackConfig

OpenEngine = Callable[[str, int], "CellEngine"]
"""Returns what runs the cells, of the address of the tracking store and the number of cells at a time."""


class CellFailuresError(TrackingError):
    """Cells of a benchmark failed or were not tried."""


class Extension(Protocol):
    """Adds cells to a benchmark that follow from the results of others."""

    def extend(
        self, tracker: Tracker, cells: Sequence[PlannedCell], statuses: Mapping[int, CellStatus]
    ) -> Sequence[CellSpec]:
        """Return the cells that the benchmark should have, too, when all of these have ended.

        They have the data and the model of one of these.

        Args:
            tracker: The store with the runs.
            cells: The cells so far.
            statuses: Their states by number.
        """

    def preview(self, groups: Sequence[GroupOverview]) -> Sequence[LaterCells]:
        """Return the cells that will be chosen when those of these groups have ended, as far as that is known."""

    def conclude(self, parent: RunWriter) -> Sequence[str]:
        """Log what was concluded with the run of the benchmark, and return it in sentences."""


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
    specs: Sequence[CellSpec] | None,
    track: TrackConfig,
    *,
    workers: int = 1,
    estimate: Estimate | None = None,
    extensions: Sequence[Extension] = (),
    halving: Sequence[int] | None = None,
) -> GridOverview:
    """Return what a benchmark would do; nothing is written.

    Args:
        name: Its name.
        specs: Its cells; None for those of the plan.
        track: Where it would be tracked.
        workers: Cells at a time.
        estimate: Estimates what a run takes.
        extensions: Would add cells.
        halving: As in `run_cells`.

    Raises:
        TinybenchError: The benchmark could only fail.
    """
    plan = GridPlan(name)
    specs = _list_specs(plan, specs)
    contents = _check_and_hash(specs)
    uri = track.uri or store.default_uri()
    file = store.sqlite_path(uri)
    tracker = None if file is not None and not file.exists() else Tracker(track, may_be_away=True, opens_runs=False)
    runs = read_runs(tracker, name) if tracker else CellRuns([])
    before = plan.specified_cells
    plan.halving = plan.halving if halving is None else tuple(halving)
    plan.set_cells(specs, contents, runs.numbers)
    change = plan.compare(before)
    is_away = tracker is not None and tracker.error is not None
    statuses = read_statuses(plan, runs, plan.notes(store.identity(uri)), is_away=is_away)
    return _overview(plan, statuses, change, workers, estimate, extensions)


def run_cells(
    name: str,
    specs: Sequence[CellSpec] | None,
    track: TrackConfig,
    callbacks: BenchmarkCallbacks,
    *,
    workers: int = 1,
    retry_failed: bool = False,
    estimate: Estimate | None = None,
    extensions: Sequence[Extension] = (),
    open_engine: OpenEngine = open_processes,
    halving: Sequence[int] | None = None,
) -> BenchmarkResult:
    """Run the cells of a benchmark that are not finished.

    Args:
        name: Its name.
        specs: Its cells; None to go on with those of the plan.
        track: Where it is tracked.
        callbacks: Receives the events.
        workers: Cells at a time.
        retry_failed: Whether cells that failed are run again.
        estimate: Estimates what a run takes.
        extensions: Add cells once all have ended; the first that adds some is asked again after these.
        open_engine: What runs the cells; by default processes of this machine.
        halving: The seeds of the phases that a halving trains, which the plan keeps; those of the plan if None.

    Raises:
        TrackingError: Another process runs this benchmark, or there is none of this name to go on with.
        TinybenchError: The benchmark could only fail.
    """
    plan = GridPlan(name)
    specs = _list_specs(plan, specs)
    contents = _check_and_hash(specs)  # before anything is created that would have to be removed again
    tracker = Tracker(track, may_be_away=True)
    with plan.hold(), closing(tracker):
        tracker.check_parent_run()
        before = plan.specified_cells
        plan.halving = plan.halving if halving is None else tuple(halving)
        plan.workers = workers
        runner = CellRunner(plan, tracker, callbacks, workers)
        plan.set_cells(specs, contents, runner.runs.numbers)
        runner.read_statuses()
        driver = _Driver(plan, runner, extensions)
        while not (retry_failed and runner.count(CellState.FAILED)):
            if not driver.extend():  # there is no rung left that an earlier driver has begun
                break
        change = plan.compare(before)
        overview = _overview(plan, runner.statuses, change, workers, estimate, extensions, retry_failed=retry_failed)
        callbacks.on_overview(overview)
        if retry_failed:
            runner.forget_failures()
        return driver.run(open_engine(tracker.uri, workers))


def _list_specs(plan: GridPlan, specs: Sequence[CellSpec] | None) -> list[CellSpec]:
    """Return the cells, those of the plan if None.

    Raises:
        TrackingError: The plan has none.
    """
    if specs is None:
        specs = [cell.spec for cell in plan.active_cells]
    if not specs:
        raise TrackingError(
            f"There is no benchmark {plan.name!r} on this machine to go on with: give its models and data."
        )
    return [*specs]


def _check_and_hash(specs: Sequence[CellSpec]) -> Sequence[Contents]:
    """Raise if a cell could only fail, and return the hashes of the data and files of all."""
    configs = [spec.config for spec in specs]
    for config in {(config.recipe, config.model, config.dataset): config for config in configs}.values():
        try:
            preflight.check_run(config)
        except TinybenchError as error:
            raise type(error)(f"{describe_cell(config)}: {error}") from error
    return list_contents(configs)


def _overview(
    plan: GridPlan,
    statuses: Mapping[int, CellStatus],
    change: PlanChange,
    workers: int,
    estimate: Estimate | None,
    extensions: Sequence[Extension],
    *,
    retry_failed: bool = False,
) -> GridOverview:
    cells = tuple(plan.active_cells)
    groups = make_groups(cells, statuses, estimate, retry_failed=retry_failed)
    later = tuple(following for extension in extensions for following in extension.preview(groups))
    return GridOverview(plan.name, cells, dict(statuses), change, groups, workers, later)


class _Driver:
    """Runs the cells of a plan in the run of the benchmark, with those that extensions add."""

    def __init__(self, plan: GridPlan, runner: CellRunner, extensions: Sequence[Extension]) -> None:
        self.plan = plan
        self.runner = runner
        self.extensions = extensions
        self.tracker = runner.tracker
        self.callbacks = runner.callbacks

    def extend(self) -> bool:
        """Add the cells that follow from the results if all have ended, and return whether there are new ones."""
        if not self.runner.have_ended:
            return False
        before = {*self.runner.cells}
        for extension in self.extensions:
            specs = extension.extend(self.tracker, self.plan.active_cells, self.runner.statuses)
            contents = [self.plan.find_contents(spec.config) for spec in specs]
            self.plan.add_cells(specs, contents, self.runner.runs.numbers)
            if {*self.runner.cells} - before:
                self.runner.read_statuses()
                return True
        return False

    def run(self, engine: CellEngine) -> BenchmarkResult:
        """Run the cells in the run of the benchmark, which a resume opens again."""
        parent = self._open_parent_run()
        with self._end_parent_run(parent):
            link = self.tracker.link(parent) or f"{parent.id}, not sent to {redact(self.tracker.uri)} yet"
            self.callbacks.on_benchmark_begin(len(self.runner.cells), link)
            try:
                with engine as running:
                    self.runner.run(running, parent)
                    while self.extend():
                        self.plan.save()
                        self.callbacks.on_extension([*self.runner.cells.values()], self.runner.statuses)
                        self.runner.run(running, parent)
            finally:
                self.runner.read_runs()
                self.plan.save()
                log_cells(parent, self.plan.active_cells, self.runner.statuses)
                for text in (text for extension in self.extensions for text in extension.conclude(parent)):
                    self.callbacks.on_message(text)
            self._raise_failures()
        cells = (*self.runner.cells.values(),)
        return BenchmarkResult(self.plan.name, parent.id, cells, self.runner.statuses, self.runner.skipped)

    def _open_parent_run(self) -> RunWriter:
        run_id = self.runner.notes.parent_run or self.runner.runs.parent_run
        run: RunWriter | None = None
        if run_id is not None:
            stored = self._find_parent_run(run_id)
            run = stored and self.tracker.reopen(stored)
        if run is None:
            run = self.tracker.open_parent_run(f"benchmark {self.plan.name}", run_kinds.BENCHMARK)
            run.set_tags({tags.BENCHMARK: self.plan.name})
            run.log_params({"benchmark.name": self.plan.name})
        self.runner.notes.parent_run = run.id
        self.plan.save()
        return run

    def _find_parent_run(self, run_id: str) -> MlflowRun | None:
        """Return the run of the benchmark; None if it is deleted."""
        try:
            stored = self.tracker.get_run(run_id)
            self.tracker.require_active(stored)
        except TrackingError:
            if self.runner.is_away:
                raise
            self.callbacks.on_message(f"Run {run_id} of this benchmark is gone: a new one is opened.")
            return None
        return stored

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

    def _raise_failures(self) -> None:
        """Raise if a cell has failed or was not tried, so that the run of the benchmark says so, too."""
        cells, statuses = self.runner.cells, self.runner.statuses
        missing = len(cells) - count_states(statuses.values())[CellState.FINISHED]
        if not missing:
            return
        failed = [(cell, statuses[cell.number]) for cell in cells.values()]
        failed = [(cell, status) for cell, status in failed if status.state == CellState.FAILED]
        first = f" The first: cell {failed[0][0].number}, {failed[0][1].reason}" if failed else ""
        not_tried = f", {missing - len(failed)} were not tried" if missing > len(failed) else ""
        raise CellFailuresError(
            f"{len(failed)} of {len(cells)} cells failed{not_tried}.{first} "
            f"Run them again with: tinybench benchmark --resume {self.plan.name} --retry-failed"
        )
