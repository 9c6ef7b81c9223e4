"""The failed cells of benchmarks, which a board shows as failed: nothing is put in the place of their results."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tinybench.tracking import queries, tags
from tinybench.tracking.tracker import Tracker

_FAILED = f"attributes.status = 'FAILED' and tags.`{tags.CELL_KEY}` != ''"


@dataclass(frozen=True)
class FailedCell:
    """A cell that failed and was not run again with success.

    Attributes:
        benchmark: Its benchmark.
        number: Its number there.
        model: Its model.
        dataset: Its data set.
        seed: Its seed.
        reason: Why it failed.
    """

    benchmark: str
    number: str
    model: str
    dataset: str
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
                queries.param(run, "model"),
                queries.param(run, "dataset"),
                queries.param(run, "seed"),
                run_tags.get(tags.ERROR, "its run says no reason"),
            )
    return [*cells.values()]
