"""A SQLite store that another process has locked is waited for, and that is said."""

from __future__ import annotations

import _thread
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import OperationalError
from stores import fresh

from tinybench.config.sections import TrackConfig
from tinybench.core import waiting
from tinybench.core.errors import TrackingError
from tinybench.tracking import locked_database
from tinybench.tracking.model_versions import RegisteredModel
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@contextmanager
def locked(uri: str, seconds: float, mode: str = "IMMEDIATE") -> Iterator[None]:
    """Hold a lock for some seconds while the block begins, and until its end if it takes less."""
    database = sqlite3.connect(uri.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    database.execute(f"BEGIN {mode}")
    released = threading.Timer(seconds, database.rollback)
    released.start()
    try:
        yield
    finally:
        released.cancel()
        database.close()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is said of waiting."""
    monkeypatch.setattr(waiting, "SECONDS", 0.2)
    said: list[str] = []
    with waiting.told_to(said.append):
        yield said


def test_a_run_opens_in_a_new_experiment_once_the_lock_is_gone(store, lines):
    tracker = Tracker(TrackConfig(uri=store, experiment="new"), may_be_away=True)
    with locked(store, 4):
        run = tracker.open_parent_run("x")
    run.log_metrics({"loss": 0.5}, 1, 1)
    run.end("FINISHED")
    tracker.close()
    assert tracker.writer.unsent == 0
    (stored,) = MlflowClient(store).search_runs(["1"])
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"loss": 0.5})
    assert f"waiting for {store.removeprefix('sqlite:///')}, which another process has locked …" in lines


def test_the_registry_is_written_once_the_lock_is_gone(store, lines):
    client = Tracker.at(store).client
    client.create_registered_model("pets")
    client.create_model_version("pets", "/nowhere")
    with locked(store, 4):
        RegisteredModel(client, "pets").set_alias("champion", 1)
    assert RegisteredModel(client, "pets").aliases() == {"champion": 1}
    assert any("which another process has locked" in line for line in lines)


def test_a_store_without_write_ahead_log_is_read_once_the_lock_is_gone(store, lines):
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        database.execute("PRAGMA journal_mode=DELETE")
    database.close()
    with locked(store, 3, "EXCLUSIVE"):
        assert [*Tracker.at(store).search_runs()] == []
    assert any("which another process has locked" in line for line in lines)


def test_after_the_limit_the_cause_is_named(store, monkeypatch):
    monkeypatch.setattr(locked_database, "LIMIT_SECONDS", 1.0)
    tracker = Tracker(TrackConfig(uri=store, experiment="new"), may_be_away=True)
    with (
        locked(store, 60),
        pytest.raises(TrackingError, match=r"another process has locked the database, .* Close it, then try again\.$"),
    ):
        tracker.open_parent_run("x")
    tracker.close()


@pytest.fixture
def engine(tmp_path: Path) -> sqlalchemy.Engine:
    """An engine of a small file that is waited for."""
    file = tmp_path / "small.db"
    locked_database.watch(file)
    engine = sqlalchemy.create_engine(f"sqlite:///{file}", connect_args={"timeout": 1})
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE numbers (number INTEGER)"))
    return engine


def insert(engine: sqlalchemy.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO numbers VALUES (1)"))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler of SIGINT, which a process in the background may have been started without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_waiting(engine):
    began = time.monotonic()
    with locked(str(engine.url), 60):
        threading.Timer(1, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            insert(engine)
    assert time.monotonic() - began < 10
    insert(engine)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT count(*) FROM numbers")).scalar() == 1, "nothing is half done"


def test_another_thread_waits_as_long_as_it_was_told(engine):
    """Those that send try again later, and go on giving signs of life meanwhile."""
    errors: list[BaseException] = []

    def try_insert() -> None:
        try:
            insert(engine)
        except OperationalError as error:
            errors.append(error)

    with locked(str(engine.url), 60):
        thread = threading.Thread(target=try_insert)
        began = time.monotonic()
        thread.start()
        thread.join(30)
    assert 0.9 < time.monotonic() - began < 20
    assert "database is locked" in str(errors[0])


def test_other_files_of_the_program_are_left_alone(tmp_path):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with engine.connect() as connection:
        assert type(connection.connection.dbapi_connection) is sqlite3.Connection
