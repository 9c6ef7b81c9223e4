"""Receive the events of a benchmark: the terminal and tests implement the methods that they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinybench.benchmark.cell_states import CellState, CellStatus
    from tinybench.benchmark.grid_overview import GridOverview
    from tinybench.benchmark.grid_plan import PlannedCell


class BenchmarkCallbacks:
    """Receive the events of a benchmark; every method does nothing.

    An exception that a method raises ends the benchmark; the same command goes on with it.
    """

    def on_overview(self, overview: GridOverview) -> None:
        """Handle the grid as it is before anything is trained."""

    def on_message(self, text: str) -> None:
        """Handle a message for the person at the terminal."""

    def on_benchmark_begin(self, cells: int, link: str) -> None:
        """Handle a benchmark whose cells are about to begin; `link` is the page of its run in the MLflow UI."""

    def on_extension(self, cells: Sequence[PlannedCell], statuses: Mapping[int, CellStatus]) -> None:
        """Handle cells that were added because of the results of others; these are all, with their states."""

    def on_cell_begin(self, cell: PlannedCell, *, resumed: bool) -> None:
        """Handle a cell that begins, or is resumed from its checkpoints."""

    def on_cell_end(self, cell: PlannedCell, status: CellStatus) -> None:
        """Handle a cell that has ended."""

    def on_benchmark_step(self, counts: Counter[CellState]) -> None:
        """Handle the number of cells in each state, once a second."""
