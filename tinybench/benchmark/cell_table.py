"""Log the cells of a benchmark to its run, as a table that says how each of them ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tinybench.core.csv_text import to_csv

if TYPE_CHECKING:
    from tinybench.benchmark.cell_states import CellStatus
    from tinybench.benchmark.grid_plan import PlannedCell
    from tinybench.tracking.run_writer import RunWriter

_HEADINGS = ("cell", "dataset", "recipe", "phases", "model", "seed", "state", "run", "test/accuracy", "reason")


def log_cells(parent: RunWriter, cells: Sequence[PlannedCell], statuses: Mapping[int, CellStatus]) -> None:
    """Store the table of the cells as an artifact of the benchmark's run."""
    rows = []
    for cell in cells:
        status, config = statuses[cell.number], cell.config
        accuracy = (status.metrics or {}).get("test/accuracy", "")
        row = (cell.number, config.dataset, config.recipe, cell.group[3], config.model_name, config.seed)
        rows.append((*map(str, row), status.state.value, status.run_id, str(accuracy), status.reason))
    parent.log_text(to_csv(_HEADINGS, rows), "tables/cells.csv")
