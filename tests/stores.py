"""A real SQLite store for every module that wants one: its tables are made once, then copied."""

from __future__ import annotations

import shutil

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
