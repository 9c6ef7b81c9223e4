"""A real SQLite store for every module that wants one, made once and then copied, and folders for its runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
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
