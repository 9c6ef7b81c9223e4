"""Show a benchmark on the terminal: its cells before it starts, a line for each cell, and a progress bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import filesize
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.grid import describe_cell
from tinybench.core.count_text import describe_count
from tinybench.core.metric_text import format_metric
from tinybench.data.load_request import short_name
from tinybench.display.durations import format_duration
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.benchmark.grid_overview import GridOverview, GroupOverview, LaterCells
    from tinybench.benchmark.grid_plan import PlanChange, PlannedCell

_MAX_NUMBERS = 8  # of cells that are listed one by one


class BenchmarkConsole(BenchmarkCallbacks):
    """The display of a benchmark on a terminal.

    Args:
        terminal: Where to write; only a real terminal gets a progress bar.
    """

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self._bar: Progress | None = None
        self._cells = 0

    def close(self) -> None:
        """Remove the progress bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_message(self, text: str) -> None:
        """Print a message."""
        print_text(self.terminal, text)

    def on_overview(self, overview: GridOverview) -> None:
        """Print the cells with their states, and the time and disk that are left."""
        print_overview(overview, self.terminal)

    def on_benchmark_begin(self, cells: int, link: str) -> None:
        """Print the link to the run, and start the progress bar."""
        self._cells = cells
        print_text(self.terminal, f"Run {link}")
        if self.terminal.is_terminal:
            self._bar = Progress(
                TextColumn("cells"),
                BarColumn(20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[status]}"),
                TimeElapsedColumn(),
                console=self.terminal,
            )
            self._bar.add_task("", total=cells, status="")
            self._bar.start()

    def on_extension(self, cells: Sequence[PlannedCell], statuses: Mapping[int, CellStatus]) -> None:
        """Print which models go on, and how many cells that adds."""
        added = [cell for cell in cells if statuses[cell.number].state != CellState.FINISHED]
        models = ", ".join(dict.fromkeys(cell.config.model_name for cell in added))
        self._cells = len(cells)
        print_text(self.terminal, f"Next, of {models}: {describe_count(len(added), 'cells')}")
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=self._cells)

    def on_cell_begin(self, cell: PlannedCell, *, resumed: bool) -> None:
        """Print which cell begins."""
        verb = "is resumed" if resumed else "begins"
        print_text(
            self.terminal,
            f"cell {cell.number} {verb}: {describe_cell(cell.config, is_probe=cell.is_probe)}",
        )

    def on_cell_end(self, cell: PlannedCell, status: CellStatus) -> None:
        """Print how a cell ended."""
        outcome = f"failed: {status.reason}"
        if status.state == CellState.FINISHED:
            accuracy = format_metric((status.metrics or {}).get("test/accuracy")) or "-"
            time = f" in {format_duration(status.seconds)}" if status.seconds else ""
            outcome = f"top-1 {accuracy}{time}, run {status.run_id}"
        print_text(self.terminal, f"cell {cell.number}: {outcome}")

    def on_benchmark_step(self, counts: Counter[CellState]) -> None:
        """Move the progress bar."""
        if self._bar is not None:
            finished, failed = counts[CellState.FINISHED], counts[CellState.FAILED]
            status = f"{counts[CellState.RUNNING]} running, {failed} failed"
            self._bar.update(self._bar.task_ids[0], completed=finished + failed, status=status)


def print_end(name: str, terminal: Terminal) -> None:
    """Print that all cells are finished, and how their models are ranked."""
    print_text(terminal, f"All cells are finished. Rank the models by: tinybench leaderboard --benchmark {name}")


def print_overview(overview: GridOverview, terminal: Terminal) -> None:
    """Print the groups of cells, what has changed, the state of all cells, and what is left to do."""
    numbers = number_columns("finished", "time of a cell")
    phases = [_phases(group) for group in overview.groups]
    columns: list[Column | str] = ["data set", "recipe", "phases", Column("model", head=True), "seeds", *numbers]
    rows = [_group_row(group) for group in overview.groups]
    if len({*phases}) == 1:
        del columns[2]
        rows = [(*row[:2], *row[3:]) for row in rows]
    print_table(terminal, columns, rows, f"Benchmark {overview.name}: {describe_count(len(overview.cells), 'cells')}")
    for line in (*_describe_change(overview.change), *_describe_states(overview)):
        print_text(terminal, line)
    for later in overview.later:
        print_text(terminal, _describe_later(later))
    clauses = [f"about {format_duration(overview.seconds)}"] if overview.seconds else []
    clauses += [f"that of {', '.join(overview.untimed)} is not known"] if overview.untimed else []
    clauses += [f"{filesize.decimal(overview.disk)} of disk"] if overview.disk else []
    if not clauses:
        return
    at_a_time = f" {overview.workers} of them run at a time." if overview.workers > 1 else ""
    print_text(terminal, f"What is left takes, one cell after another: {', '.join(clauses)}.{at_a_time}")


def _describe_later(later: LaterCells) -> str:
    config, phases = later.config, " and ".join(later.phases)
    cells = describe_count(later.cells, "cells")
    time = "" if later.seconds is None else f", about {format_duration(later.seconds)}"
    return f"Then on {short_name(config.dataset)}: {phases} of the best {later.models} ({cells}{time})."


def _group_row(group: GroupOverview) -> tuple[str, ...]:
    cost = "" if group.cost is None else format_duration(group.cost.seconds)
    time = cost if group.measured or not cost else f"about {cost}"
    config = group.config
    seeds = ", ".join(map(str, group.seeds))
    finished = f"{group.finished} of {len(group.seeds)}"
    return (
        short_name(config.dataset),
        config.recipe,
        _phases(group),
        config.model_name,
        seeds,
        finished,
        time or "not known",
    )


def _phases(group: GroupOverview) -> str:
    return "probe" if group.is_probe else ", ".join(group.config.phases)


def _describe_change(change: PlanChange) -> list[str]:
    if change.is_new or not (change.added or change.removed):
        return []
    added, removed = describe_count(len(change.added), "cells"), len(change.removed)
    lines = [f"The specification has changed: {added} added, {removed} removed."]
    return [*lines, f"Changed: {', '.join(change.settings)}."] if change.settings else lines


def _describe_states(overview: GridOverview) -> list[str]:
    total = len(overview.cells)
    lines = [f"{overview.count(CellState.FINISHED)} of {total} cells are finished."]
    killed = [cell for cell in overview.cells if overview.statuses[cell.number].state == CellState.KILLED]
    for can_resume, action in ((True, "resumed from their checkpoints"), (False, "begun again")):
        numbers = [cell.number for cell in killed if overview.statuses[cell.number].can_resume == can_resume]
        if numbers:
            lines.append(f"Under way in a process that is gone, and {action}: {_list_cells(numbers)}.")
    running = [cell.number for cell in overview.cells if overview.statuses[cell.number].state == CellState.RUNNING]
    if running:
        lines.append(f"Under way in another process: {_list_cells(running)}.")
    numbers_of_reason: dict[str, list[int]] = {}
    for cell in overview.cells:
        status = overview.statuses[cell.number]
        if status.state == CellState.FAILED:
            numbers_of_reason.setdefault(status.reason, []).append(cell.number)
    lines += [
        f"{len(numbers)} failed ({_list_cells(numbers)}): {reason}" for reason, numbers in numbers_of_reason.items()
    ]
    return lines


def _list_cells(numbers: list[int]) -> str:
    listed = ", ".join(map(str, numbers[:_MAX_NUMBERS]))
    more = f" and {len(numbers) - _MAX_NUMBERS} more" if len(numbers) > _MAX_NUMBERS else ""
    return f"cell{'s' if len(numbers) > 1 else ''} {listed}{more}"
