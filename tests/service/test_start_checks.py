"""What MLflow's server could not use is refused before it starts, in a line."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tinybench.core.errors import TinybenchError
from tinybench.service import process, start_checks
from tinybench.service.settings import ServerSettings


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _refuse(uri: str, destination: str = "mlartifacts", **settings) -> str:
    """Return the one line with which a server is refused."""
    with pytest.raises(TinybenchError) as caught:
        process.run(ServerSettings(uri, destination, port=_free_port(), **settings), lambda: None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_cannot_be_written_to_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    message = _refuse("sqlite:////proc/mlflow.db")
    assert message.startswith("Invalid value for `--backend-store-uri`: cannot write to the folder /proc: ")
    monkeypatch.chdir("/proc")
    assert _refuse("sqlite:///mlflow.db") == message


def test_a_folder_is_no_database(tmp_path: Path):
    assert "expected sqlite:///FILE, got the folder" in _refuse(f"sqlite:///{tmp_path}")


def test_a_new_and_an_old_database_are_taken(tmp_path: Path):
    start_checks.check_database(f"sqlite:///{tmp_path}/new.db")
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.execute("CREATE TABLE runs (id TEXT)")
        database.execute("BEGIN EXCLUSIVE")  # as another server may hold it
        start_checks.check_database(f"sqlite:///{tmp_path}/old.db")
