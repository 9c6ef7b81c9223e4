"""What is known of a benchmark before it starts: its cells and their states, and the time and disk that are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from tinybench.benchmark.cell_states import ENDED_STATES, CellState, CellStatus, count_states
from tinybench.benchmark.grid import CellSpec
from tinybench.benchmark.grid_plan import PlanChange, PlannedCell
from tinybench.config.run_config import RunConfig


class CellCost(NamedTuple):
    """Time and disk space of a cell.

    Attributes:
        seconds: Its time.
        disk: Bytes of features, checkpoints and artifacts; 0 where it is not estimated.
        start: The part of `seconds` in which its process starts.
        phases: The time of the run of this configuration by phase; empty where it is not estimated.
    """

    seconds: float
    disk: int = 0
    start: float = 0.0
    phases: Mapping[str, float] = {}


Estimate = Callable[[Sequence[CellSpec]], Sequence["CellCost | None"]]
"""Estimates what runs take that begin now; None where that cannot be known."""


@dataclass(frozen=True)
class GroupOverview:
    """The cells that differ only in their seed.

    Attributes:
        config: The configuration of the first of them.
        seeds: Their seeds.
        finished: How many of them are finished.
        waiting: How many of them will run: neither finished nor failed.
        cost: What one of them takes; None if it is not known.
        measured: Whether that is the mean of finished cells, and not an estimate.
        is_probe: Whether backbones are probed.
    """

    config: RunConfig
    seeds: tuple[int, ...]
    finished: int
    waiting: int
    cost: CellCost | None
    measured: bool
    is_probe: bool = False


@dataclass(frozen=True)
class LaterCells:
    """Cells that are chosen when others have ended.

    Attributes:
        config: The configuration of one of the models from which it is chosen.
        phases: The phases that are trained.
        models: How many models are chosen.
        cells: How many cells there will be.
        seconds: Their time, one after another, if the slowest models are chosen; None if it is not known.
    """

    config: RunConfig
    phases: tuple[str, ...]
    models: int
    cells: int
    seconds: float | None


@dataclass(frozen=True)
class GridOverview:
    """A benchmark before it starts.

    Attributes:
        name: Its name.
        cells: Its cells.
        statuses: Their states by number.
        change: How the specification differs from the one before.
        groups: The cells that differ only in their seed.
        workers: Cells at a time.
        later: What follows when these cells have ended.
    """

    name: str
    cells: tuple[PlannedCell, ...]
    statuses: Mapping[int, CellStatus]
    change: PlanChange
    groups: tuple[GroupOverview, ...]
    workers: int
    later: tuple[LaterCells, ...] = ()

    @property
    def seconds(self) -> float:
        """The time of the cells that will run, one after another, as far as it is known."""
        of_later = sum(later.seconds or 0.0 for later in self.later)
        return of_later + sum(group.cost.seconds * group.waiting for group in self.groups if group.cost)

    @property
    def untimed(self) -> list[str]:
        """The models of which it is not known how long a cell takes."""
        names = [group.config.model_name for group in self.groups if group.cost is None and group.waiting]
        return list(dict.fromkeys(names))

    @property
    def disk(self) -> int:
        """Bytes that these cells write, as far as it is estimated."""
        return sum(group.cost.disk * group.waiting for group in self.groups if group.cost)

    @property
    def waiting(self) -> int:
        """The number of cells that will run, without those that follow from their results."""
        return sum(group.waiting for group in self.groups)

    def count(self, state: CellState) -> int:
        """Return how many cells are in a state."""
        return count_states(self.statuses.values())[state]


def make_groups(
    cells: Sequence[PlannedCell],
    statuses: Mapping[int, CellStatus],
    estimate: Estimate | None,
    *,
    retry_failed: bool = False,
) -> tuple[GroupOverview, ...]:
    """Return the cells that differ only in their seed, each group with what a cell of it takes.

    The time is that of finished cells of the group, or else an estimate, which is made for groups that will run.

    Args:
        cells: The cells.
        statuses: Their states by number.
        estimate: Estimates what a run takes.
        retry_failed: Whether failed cells will run again.
    """
    ended = (CellState.FINISHED,) if retry_failed else ENDED_STATES
    groups: dict[tuple[str, str, str, str], list[PlannedCell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    timed = {
        group: [status.seconds for cell in members if (status := statuses[cell.number]).seconds > 0]
        for group, members in groups.items()
    }
    finished = {group: _count_finished(members, statuses) for group, members in groups.items()}
    waiting = {
        group: sum(statuses[cell.number].state not in ended for cell in members) for group, members in groups.items()
    }
    untimed = [group for group in groups if not timed[group] and waiting[group]]
    costs: dict[tuple[str, str, str, str], CellCost | None] = {
        group: CellCost(fmean(seconds)) if seconds else None for group, seconds in timed.items()
    }
    if estimate is not None and untimed:
        costs |= dict(zip(untimed, estimate([groups[group][0].spec for group in untimed]), strict=True))
    return tuple(
        GroupOverview(
            members[0].config,
            tuple(cell.config.seed for cell in members),
            finished[group],
            waiting[group],
            costs[group],
            bool(timed[group]),
            members[0].is_probe,
        )
        for group, members in groups.items()
    )


def _count_finished(cells: Sequence[PlannedCell], statuses: Mapping[int, CellStatus]) -> int:
    return sum(statuses[cell.number].state == CellState.FINISHED for cell in cells)
