"""Benchmarks as they are before they start, with long names."""

from __future__ import annotations

from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.grid import Grid
from tinybench.benchmark.grid_overview import CellCost, GridOverview, make_groups
from tinybench.benchmark.grid_plan import PlanChange, PlannedCell

KILLED = CellStatus(CellState.KILLED, "run", "gone", can_resume=True)
FAILED = CellStatus(CellState.FAILED, "run", "The disk is full: make room, then try again.")
FINISHED = CellStatus(CellState.FINISHED, "run", seconds=3725.0)


def overview() -> GridOverview:
    """Nine cells, one of them finished, one failed, two under way in a process that is gone."""
    models, datasets = ("efficientnetv2b0", "smallcnn", "convnextbase"), ("folder:/data/parts-from-line-7",)
    configs = Grid("g", models, datasets, ("tiny-imagenet-tlft",), (0, 7, 2147483647)).build_cells()
    cells = [PlannedCell(number, str(number), config, {}) for number, config in enumerate(configs, 1)]
    special = {1: FINISHED, 2: FAILED, 3: KILLED, 4: KILLED}
    statuses = {cell.number: special.get(cell.number, CellStatus(CellState.WAITING)) for cell in cells}
    change = PlanChange(False, (8, 9), (10,), ("transfer.epochs: 5 → 7", "the data: other content"))
    groups = make_groups(cells, statuses, lambda kinds: [CellCost(75.0, 10**9), None][: len(kinds)])
    return GridOverview("parts", tuple(cells), statuses, change, groups, 2)
