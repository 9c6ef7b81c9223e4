"""Faults that reviewers found in how journals are sent and dead runs are repaired."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest
from journals import offline, runs_of
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.commands.repair import repair
from tinybench.commands.sync import sync
from tinybench.core import atomic
from tinybench.tracking import tags
from tinybench.tracking.journal.journal import Journal
from tinybench.tracking.store_writer import StoreWriter


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture
def journal():
    made = Journal.create("http://tracking:5000")
    yield made
    made.close()


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_that_has_room_again_is_written_by_two_flushes_at_once(journal, tmp_path, monkeypatch) -> None:
    """The thread that sends flushes while the one that closes the journal does."""
    with monkeypatch.context() as patch:
        patch.setattr(atomic.Path, "replace", full)
        digest, _ = journal.store_bytes(b"first")
    real = Journal._write_file

    def write_and_meet_another(self: Journal, *arguments: Any) -> bool:
        monkeypatch.setattr(Journal, "_write_file", real)
        assert self.flush()
        return real(self, *arguments)

    monkeypatch.setattr(Journal, "_write_file", write_and_meet_another)
    assert journal.flush()
    journal.link_file(digest, tmp_path / "first")


def test_what_was_refused_stays_incomplete_the_next_time(store) -> None:
    writer = offline(store)
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("x", "n" * 256)
    writer.close()
    (first,) = sync(to=store)
    (second,) = sync(to=store)
    assert (first.counts.refused, first.is_complete) == (1, False)
    assert second.problems
    assert (second.counts.refused, second.is_complete) == (1, False)


def test_artifacts_of_an_unknown_scheme_hold_nothing_up(store) -> None:
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database, database:
        database.execute("update experiments set artifact_location = ?", ("foo://host/x",))
    writer = StoreWriter(store, MlflowClient(store))
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("{}", "config.json")
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("FINISHED")
    sent = writer.flush()
    writer.discard()
    assert sent
    assert MlflowClient(store).get_run(run.id).info.status == "FINISHED"


def test_a_run_that_was_alive_half_a_second_ago_is_ended_by_another(store, monkeypatch) -> None:
    """Its heartbeat is rounded up to the next second, which is after the end that another process gives it."""
    now = 1_800_000_000.6
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        patch.setattr(time, "time_ns", lambda: int((now + 0.1) * 1e9))
        writer = offline(store)
        run = writer.create_run({"id": "0"}, "x", {})
        writer.close()
        writer = offline(store)
        writer.amend_run(run.key).end("FAILED", "its process died")
        writer.close()
    sync(to=store)
    (stored,) = runs_of(MlflowClient(store), run.key)
    assert stored.info.status == "FAILED"


def assert_is_killed(store: str, run_id: str) -> None:
    assert [repaired.run_id for repaired in repair(store)] == [run_id]
    info = MlflowClient(store).get_run(run_id).info
    assert info.status == "KILLED"
    assert info.start_time <= info.end_time <= time.time() * 1000


@pytest.mark.parametrize("heartbeat", ["9" * 400, "9" * 30])
def test_a_heartbeat_of_a_stranger_in_the_far_future_costs_no_traceback(store, heartbeat) -> None:
    run = MlflowClient(store).create_run("0", tags={tags.PROCESS: "elsewhere b n 1 1", tags.HEARTBEAT: heartbeat})
    assert_is_killed(store, run.info.run_id)


def test_a_dead_run_of_this_host_with_a_heartbeat_of_the_far_future(store) -> None:
    from tinybench.tracking.process_identity import describe_process

    fields = describe_process().split(" ")
    gone = " ".join([*fields[:3], "4194304", "1"])
    run = MlflowClient(store).create_run("0", tags={tags.PROCESS: gone, tags.HEARTBEAT: "9" * 30})
    assert_is_killed(store, run.info.run_id)
