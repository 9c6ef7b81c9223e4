"""Read the tables that benchmarks log with their runs."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tinybench.tracking import run_kinds, tags

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

_BENCHMARKS = f"tags.`{tags.KIND}` = '{run_kinds.BENCHMARK}'"


def list_benchmarks(tracker: Tracker) -> Iterator[tuple[str, MlflowRun]]:
    """Yield the name and the newest run of each benchmark of a store, the newest first."""
    seen: set[str] = set()
    for run in tracker.search_runs(_BENCHMARKS):
        benchmark = run.data.tags.get(tags.BENCHMARK, "")
        if benchmark not in seen:
            seen.add(benchmark)
            yield benchmark, run


def read_table(tracker: Tracker, run_id: str, path: str) -> list[dict[str, str]]:
    """Return the rows of a table of a benchmark's run; none if it has no such table.

    Args:
        tracker: The store.
        run_id: The run.
        path: The artifact, such as `tables/cells.csv`.
    """
    with TemporaryDirectory() as folder:
        try:
            file = tracker.download_artifact(run_id, path, Path(folder))
        except OSError:
            return []
        with file.open(encoding="utf-8", newline="") as text:
            return [*csv.DictReader(text)]
