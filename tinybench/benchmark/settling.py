"""Add seeds to a benchmark where they are expected to settle which of two models is better, for a limited time.

A board may be looked at after every seed: its critical values allow for that up to 20 seeds of a model, so that
adding seeds until a pair is settled makes no more false conclusions.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.grid import CellSpec
from tinybench.config import run_config as configuration
from tinybench.leaderboard.board import MARGIN, build_boards
from tinybench.leaderboard.critical_value import LOOKS
from tinybench.leaderboard.dataset_board import BoardRow, DatasetBoard
from tinybench.tracking import tags

if TYPE_CHECKING:
    from tinybench.benchmark.grid_overview import GroupOverview, LaterCells
    from tinybench.benchmark.grid_plan import PlannedCell
    from tinybench.leaderboard.entries import Entry
    from tinybench.leaderboard.pairs import Pair
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker


@dataclass(frozen=True)
class _Model:
    """A model of a board, with its cells.

    Attributes:
        cell: One of its finished cells.
        runs: How many of its runs the board has.
        seeds: The seeds of all its cells, also of those that failed.
        seconds: The mean time of its finished cells; 0 if it is not known.
    """

    cell: PlannedCell
    runs: int
    seeds: frozenset[int]
    seconds: float

    def list_next(self, count: int) -> list[CellSpec]:
        """Return cells with its next seeds."""
        seeds = (seed for seed in itertools.count() if seed not in self.seeds)
        configs = [configuration.replace(self.cell.config, {"seed": seed}) for seed in itertools.islice(seeds, count)]
        return [CellSpec(config, is_extra=True) for config in configs]


@dataclass(frozen=True)
class _OpenPair:
    """Two models of which a board does not say yet which is better.

    Attributes:
        models: The models.
        missing: How many more seeds of each would settle it.
    """

    models: tuple[_Model, _Model]
    missing: tuple[int, int]

    @property
    def seconds(self) -> float:
        """The time of the missing seeds."""
        return sum(model.seconds * count for model, count in zip(self.models, self.missing, strict=True))

    def list_next(self, count: int) -> list[CellSpec]:
        """Return so many of the missing seeds, those of the model first that misses more."""
        seeds = [
            (missing - number, spec)
            for model, missing in zip(self.models, self.missing, strict=True)
            for number, spec in enumerate(model.list_next(missing))
        ]
        return [spec for _, spec in sorted(seeds, key=lambda item: -item[0])[:count]]


class Settling:
    """Seeds that settle pairs of models, an extension of a benchmark; see `grid_driver.Extension`.

    Pairs of models with the same data, recipe and phases are settled, first those for which it takes the least time.

    Args:
        benchmark: The name of the benchmark.
        seconds: The time, which begins when all cells of the specification have ended.
        workers: Cells at a time, after which the board is looked at again.
        margin: The largest difference of accuracies that does not matter.
    """

    def __init__(self, benchmark: str, seconds: float, workers: int = 1, margin: float = MARGIN) -> None:
        self._benchmark = benchmark
        self._seconds = seconds
        self._workers = workers
        self._margin = margin
        self._end: float | None = None
        self._added = 0
        self._outcome = "it was interrupted"

    def extend(
        self, tracker: Tracker, cells: Sequence[PlannedCell], statuses: Mapping[int, CellStatus]
    ) -> list[CellSpec]:
        """Return the next seeds to train.

        Raises:
            TrackingError: The store does not answer.
        """
        now = time.monotonic()
        self._end = self._end or now + self._seconds
        boards = build_boards(tracker, margin=self._margin, keep=self._is_wanted)
        models = _list_models(cells, statuses, boards)
        pairs = [pair for board in boards for pair in _list_open_pairs(board, models)]
        fitting = [pair for pair in pairs if max(model.seconds for model in pair.models) <= self._end - now]
        if not fitting:
            self._outcome = "the time is over" if pairs else "more seeds are not expected to settle another pair"
            return []
        specs = min(fitting, key=lambda pair: pair.seconds).list_next(self._workers)
        self._added += len(specs)
        return specs

    def _is_wanted(self, entry: Entry) -> bool:
        return entry.is_last and entry.run.tags.get(tags.BENCHMARK) == self._benchmark

    def preview(self, groups: Sequence[GroupOverview]) -> list[LaterCells]:
        """Return nothing: which seeds are added depends on results."""
        return []

    def conclude(self, parent: RunWriter) -> list[str]:
        """Return in a sentence how many cells were added, and why no more."""
        return [] if self._end is None else [f"{self._added} cells were added to settle pairs: {self._outcome}."]


def _list_models(
    cells: Iterable[PlannedCell], statuses: Mapping[int, CellStatus], boards: Iterable[DatasetBoard]
) -> dict[str, _Model]:
    """Return the models of boards by the id of each of their runs, as far as they are cells."""
    members: dict[str, list[PlannedCell]] = defaultdict(list)
    for cell in cells:
        members[cell.key_of_group].append(cell)
    finished = {
        statuses[cell.number].run_id: cell for cell in cells if statuses[cell.number].state == CellState.FINISHED
    }
    models = {}
    for row in (row for board in boards for row in board.rows):
        for run_id in _list_run_ids(row):
            if run_id in finished:
                cell = finished[run_id]
                group = members[cell.key_of_group]
                seconds = [status.seconds for member in group if (status := statuses[member.number]).seconds > 0]
                seeds = frozenset(member.config.seed for member in group)
                models[run_id] = _Model(cell, len(row.entries), seeds, fmean(seconds) if seconds else 0.0)
    return models


def _list_run_ids(row: BoardRow) -> list[str]:
    return [entry.run.run_id for entry in row.entries]


def _list_open_pairs(board: DatasetBoard, models: Mapping[str, _Model]) -> list[_OpenPair]:
    """Return the pairs of a board that more seeds are expected to settle, up to the last look that it allows for."""
    of_row = {
        row.name: next((models[run_id] for run_id in _list_run_ids(row) if run_id in models), None)
        for row in board.rows
    }
    pairs = []
    for pair in board.pairs:
        first, second = of_row[pair.first], of_row[pair.second]
        needed = _seeds_needed(board, pair)
        if first is None or second is None or not 0 < needed <= LOOKS[1] or not _are_alike(first.cell, second.cell):
            continue
        missing = max(0, needed - first.runs), max(0, needed - second.runs)
        if any(missing):
            pairs.append(_OpenPair((first, second), missing))
    return pairs


def _seeds_needed(board: DatasetBoard, pair: Pair) -> int:
    """Return the seeds of each model that are expected to settle a pair; 0 if none are.

    With one seed of each model nothing is settled, whatever the board concludes of these runs: a second one tells what
    seeds change.
    """
    return (pair.seeds_needed or 0) if board.compares_models else 2


def _are_alike(first: PlannedCell, second: PlannedCell) -> bool:
    return (first.config.recipe, first.config.phases) == (second.config.recipe, second.config.phases)
