"""How long a board of a store with ten thousand runs takes: the first time, and when nothing or one run is new.

`python -m benchmarks.board` makes the store by SQL from runs with predictions of 2,000 images in 10 classes.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

_MODELS, _SEEDS = 40, 3
_METRICS, _PARAMS = 40, 60  # that a run has besides those that a board needs


def main() -> None:
    """Print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        os.environ["TINYBENCH_CACHE"] = f"{folder}/cache"
        uri = make_store(Path(folder), options.runs)
        from tinybench.leaderboard.board import build_boards
        from tinybench.tracking.tracker import Tracker

        began = time.perf_counter()
        count = sum(1 for _ in Tracker.at(uri).search_runs(page_size=1000))
        print(f"search_runs of {count:,} runs: {time.perf_counter() - began:.1f} s", flush=True)
        for title in ("first board", "board with nothing new", "again"):
            began = time.perf_counter()
            (board,) = build_boards(Tracker.at(uri))
            models = f"{len(board.rows)} models, {len(board.pairs)} pairs"
            print(f"{title}: {time.perf_counter() - began:.1f} s ({models})", flush=True)


def make_store(folder: Path, runs: int) -> str:
    """Return the address of a store with so many runs, half of them phases."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from made_boards import MadeStore

    uri = f"sqlite:///{folder}/mlflow.db"
    os.chdir(folder)
    store = MadeStore(uri, images=2000)
    generator = np.random.default_rng(0)
    templates = []
    for model in range(_MODELS):
        for seed in range(_SEEDS):
            correct = store.correct(400 + 10 * model + int(generator.integers(-5, 5)), int(generator.integers(50)))
            settings = {f"other.{number}": str(number) for number in range(_PARAMS)}
            metrics = {f"other/{number}": float(number) for number in range(_METRICS)}
            templates.append(store.add(f"m{model}", seed, correct, params=settings, metrics=metrics))
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for number in range(runs // 2 - len(templates)):
            _copy(database, templates[number % len(templates)], number)
    return uri


def _copy(database: sqlite3.Connection, pair: tuple[str, str], number: int) -> None:
    """Insert an earlier copy of a run and its phase, which share the artifacts of the originals."""
    names = {run_id: f"{kind}{number:031x}" for run_id, kind in zip(pair, "ab", strict=True)}
    for run_id, new in names.items():
        for table in ("runs", "params", "tags", "latest_metrics"):
            rows = database.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", (run_id,))
            columns = [column[0] for column in rows.description]
            changed = [_change(dict(zip(columns, row, strict=True)), new, names, number) for row in rows.fetchall()]
            marks = ", ".join("?" for _ in columns)
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", [[*row.values()] for row in changed])


def _change(row: dict[str, Any], run_id: str, names: dict[str, str], number: int) -> dict[str, Any]:
    row["run_uuid"] = run_id
    if row.get("key") == "mlflow.parentRunId":
        row["value"] = names[row["value"]]
    if "start_time" in row:
        row["start_time"] -= 10_000_000 + 1000 * number
    return row


if __name__ == "__main__":
    main()
