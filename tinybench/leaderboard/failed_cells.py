"""The failed cells of benchmarks, which a board shows as failed: nothing is put in the place of their results."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.leaderboard.benchmark_tables import list_benchmarks, read_table
from tinybench.leaderboard.entries import name_file
from tinybench.tracking import queries, tags

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker

_FAILED = f"attributes.status = 'FAILED' and tags.`{tags.CELL_KEY}` != ''"
_TABLE = "tables/cells.csv"


@dataclass(frozen=True)
class FailedCell:
    """A cell that failed and was not run again with success.

    Attributes:
        benchmark: Its benchmark.
        number: Its number there.
        model: Its model; of a file its name.
        dataset: Its data set.
        recipe: Its recipe.
        seed: Its seed.
        reason: Why it failed.
    """

    benchmark: str
    number: str
    model: str
    dataset: str
    recipe: str
    seed: str
    reason: str

    def describe(self) -> str:
        """Return a sentence about the cell."""
        return f"Failed: cell {self.number} of {self.benchmark}, {self.model}, seed {self.seed}: {self.reason}"


def list_failed_cells(tracker: Tracker, finished_keys: Collection[str]) -> list[FailedCell]:
    """Return the failed cells of all benchmarks of a store, each once, the newest failure first.

    Args:
        tracker: The store.
        finished_keys: The keys of cells that have finished.
    """
    cells: dict[str, FailedCell] = {}
    for run in tracker.search_runs(_FAILED):
        run_tags = run.data.tags
        key = run_tags.get(tags.CELL_KEY, "")
        if run.info.status == "FAILED" and key and key not in finished_keys and key not in cells:
            cells[key] = FailedCell(
                run_tags.get(tags.BENCHMARK, ""),
                run_tags.get(tags.CELL, ""),
                name_file(queries.param(run, "model")),
                queries.param(run, "dataset"),
                queries.param(run, "recipe"),
                queries.param(run, "seed"),
                run_tags.get(tags.ERROR, "its run says no reason"),
            )
    return [*cells.values(), *_list_cells_without_run(tracker)]


def _list_cells_without_run(tracker: Tracker) -> Iterator[FailedCell]:
    """Yield the cells that failed before they had a run, which only the tables of benchmarks name.

    Of each benchmark the newest run counts: a cell that has finished since then is not in its table as failed.
    """
    for benchmark, run in list_benchmarks(tracker):
        if run.info.status == "FAILED":
            for row in read_table(tracker, run.info.run_id, _TABLE):
                if row["state"] == "failed" and not row["run"]:
                    settings = (row[name] for name in ("model", "dataset", "recipe", "seed", "reason"))
                    yield FailedCell(benchmark, row["cell"], *settings)
