"""A real SQLite store for every module that wants one, made once and then copied, and folders for its runs."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore


def fresh(factory: pytest.TempPathFactory) -> str:
    """The address of an empty store of its own."""
    template = factory.getbasetemp() / "empty.db"
    if not template.exists():
        SqlAlchemyStore(f"sqlite:///{template}", str(factory.getbasetemp() / "artifacts"))
    file = factory.mktemp("store") / "mlflow.db"
    shutil.copy(template, file)
    return f"sqlite:///{file}"


@contextmanager
def elsewhere(factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Work in a folder of its own, with cache and checkpoints inside it: for runs that a whole module looks at."""
    folder = factory.mktemp("elsewhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TINYBENCH_CACHE", str(folder / "cache"))
        patch.setenv("TINYBENCH_STATE", str(folder / "state"))
        yield folder


def add_experiments(uri: str, count: int) -> None:
    """Add experiments that are newer than all others, by SQL: MLflow takes seconds for a hundred."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database, database:
        columns = [row[1] for row in database.execute("pragma table_info(experiments)")]
        (row,) = database.execute(f"select {', '.join(columns)} from experiments where experiment_id = 0").fetchall()
        example = dict(zip(columns, row, strict=True))
        for number in range(1000, 1000 + count):
            new = example | {"experiment_id": number, "name": f"e{number}", "creation_time": 2 * 10**12 + number}
            new["last_update_time"] = new["creation_time"]
            places = ", ".join("?" for _ in columns)
            database.execute(f"insert into experiments values ({places})", [new[column] for column in columns])
