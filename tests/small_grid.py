"""A small benchmark: its specification, its command, and what is left of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from processes import ROOT
from small_runs import SMALL, all_runs

from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
from tinybench.benchmark.cell_states import CellStatus
from tinybench.benchmark.grid import CellSpec, Grid
from tinybench.benchmark.grid_overview import GridOverview
from tinybench.benchmark.grid_plan import PlannedCell
from tinybench.config.run_config import RunConfig
from tinybench.tracking import tags

TINY: dict[str, Any] = {key: value for key, value in SMALL.items() if key not in ("recipe", "finetune.epochs")}
TINY |= {"phases": "transfer", "transfer.epochs": 1}

LONG: dict[str, Any] = {"transfer.epochs": 3000, "transfer.lr": 1e-6, "transfer.patience": "none"}
"""Settings of a cell that trains until it is ended: it does not stop early, however slow the machine is."""


class Recorder(BenchmarkCallbacks):
    """Remembers what it was told of a benchmark.

    Attributes:
        begun: The number of each cell that began, and whether it was resumed.
        ended: How each cell ended, and why it failed.
        messages: The messages.
        overviews: The overviews.
    """

    def __init__(self) -> None:
        self.begun: list[tuple[int, bool]] = []
        self.ended: dict[int, tuple[str, str]] = {}
        self.messages: list[str] = []
        self.overviews: list[GridOverview] = []

    def on_overview(self, overview: GridOverview) -> None:
        self.overviews.append(overview)

    def on_message(self, text: str) -> None:
        self.messages.append(text)

    def on_cell_begin(self, cell: PlannedCell, *, resumed: bool) -> None:
        self.begun.append((cell.number, resumed))

    def on_cell_end(self, cell: PlannedCell, status: CellStatus) -> None:
        self.ended[cell.number] = status.state.value, status.reason


def uri() -> str:
    """The store of this folder: MLflow keeps clients by address, and a relative one is that of many folders."""
    return f"sqlite:///{Path.cwd()}/mlflow.db"


def cells(*models: str, seeds: tuple[int, ...] = (0,), **settings: Any) -> list[RunConfig]:
    return Grid("g", models, ("digits",), ("quickstart",), seeds, TINY | settings).build_cells()


def specs(*models: str, seeds: tuple[int, ...] = (0,), **settings: Any) -> list[CellSpec]:
    """The cells of a grid of these models."""
    return [CellSpec(config) for config in cells(*models, seeds=seeds, **settings)]


def options(**settings: Any) -> list[str]:
    """The command line of these cells of smallcnn."""
    words = ["--models", "smallcnn", "--dataset", "digits", "--recipe", "quickstart", "--name", "g"]
    return words + [word for key, value in (TINY | settings).items() for word in (f"--{key}", str(value))]


def start(*words: str, folder: Path | None = None) -> subprocess.Popen[str]:
    """Start `tinybench benchmark` in a process of its own."""
    command = [sys.executable, "-m", "tinybench", "benchmark", *words]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )  # fmt: skip


def cell_runs() -> dict[int, list[Run]]:
    """The runs of the cells by number, the oldest first."""
    runs: dict[int, list[Run]] = {}
    for run in all_runs(uri()):
        if tags.CELL in run.data.tags:
            runs.setdefault(int(run.data.tags[tags.CELL]), []).append(run)
    return runs


def wait_until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


def status_of_runs() -> dict[str, int]:
    """The number of runs of this folder's store by their status."""
    with sqlite3.connect("mlflow.db") as database:
        return dict(database.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall())


def epochs_logged() -> int:
    """The number of epochs of all runs that are in the store."""
    if not Path("mlflow.db").exists():
        return 0
    try:
        with sqlite3.connect("mlflow.db") as database:
            return int(database.execute("SELECT count(*) FROM metrics WHERE key = 'val/loss'").fetchone()[0])
    except sqlite3.OperationalError:  # no table yet
        return 0
