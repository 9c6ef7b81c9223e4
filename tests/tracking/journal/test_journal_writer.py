"""The journal of a process: a fork leaves it alone, Ctrl-C ends the waiting, and a slow store is waited for."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from small_runs import artifacts
from stores import fresh

from tinybench.tracking import dead_runs, process_identity, tags
from tinybench.tracking.journal import journal_writer, sender
from tinybench.tracking.journal.journal import Journal
from tinybench.tracking.store_writer import StoreWriter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


class Slow:
    """A client of a store that takes some seconds for every call."""

    def __init__(self, client: MlflowClient, seconds: float, but: str = "") -> None:
        self._client, self._seconds, self._but = client, seconds, but

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute) or name == self._but:
            return attribute

        def call(*arguments: Any, **options: Any) -> Any:
            time.sleep(self._seconds)
            return attribute(*arguments, **options)

        return call


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_that_is_forked_leaves_the_journals_of_its_parent(store: str) -> None:
    journal_writer.close_all()
    writer = StoreWriter(store, MlflowClient(store))
    run = writer.create_run({"id": "0"}, "x", {})
    assert writer.flush()
    child = os.fork()
    if child == 0:  # as a worker that ends like a command
        os._exit(len(journal_writer.close_all()) or 9 * (not writer.journal.folder.exists()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert writer.journal.entries_path.exists()
    assert Journal(writer.journal.folder).is_written()
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("FINISHED")
    assert journal_writer.close_all() == []
    stored = MlflowClient(store).get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"loss": 1.0})


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, also where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_the_end_waits_for_the_store_tells_what_is_unsent(store: str) -> None:
    journal_writer.close_all()
    writer = StoreWriter(store, Slow(MlflowClient(store), 20))
    writer.create_run({"id": "0"}, "x", {}).end("FINISHED")
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    (line,) = journal_writer.close_all()
    assert time.monotonic() - began < 5
    assert line.startswith("2 entries are not sent")
    assert not Journal(writer.journal.folder).is_written()
    timer.join()


def test_a_flush_goes_on_as_long_as_the_store_takes_entries(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled down by 60: half a second without progress, and a store that takes longer than that for all entries."""
    writer = StoreWriter(store, Slow(MlflowClient(store), 0.05))
    run = writer.create_run({"id": "0"}, "x", {})
    assert writer.flush()
    monkeypatch.setattr(sender, "_NO_PROGRESS_SECONDS", 0.7)
    for number in range(25):
        run.log_text(f"{number}", f"notes/{number}.txt")
    run.end("FINISHED")
    began = time.monotonic()
    assert writer.flush()
    assert time.monotonic() - began > 0.7
    assert len(artifacts(store, run.id)) == 25
    writer.close()


def test_a_sign_of_life_does_not_wait_for_runs_that_are_not_sent_yet(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the store would be said not to answer, and paused for, whenever one is due while a run begins."""
    monkeypatch.setattr(sender, "_HEARTBEAT_SECONDS", 0.0)
    writer = StoreWriter(store, Slow(MlflowClient(store), 0.02))
    for number in range(5):
        writer.create_run({"id": "0"}, f"{number}", {}).set_tags({"number": number})
    assert writer.flush()
    assert writer.take_notice() is None
    writer.close()


def test_a_process_that_has_much_to_send_gives_signs_of_life(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_HEARTBEAT_SECONDS", 0.2)
    writer = StoreWriter(store, Slow(MlflowClient(store), 0.05))
    run = writer.create_run({"id": "0"}, "busy", {})
    assert writer.flush()
    client = MlflowClient(store)
    for number in range(60):
        run.log_text(f"{number}", f"notes/{number}.txt")
    time.sleep(0.5)  # in which it begins to send them
    client.set_tag(run.id, tags.HEARTBEAT, "1")
    deadline = time.monotonic() + 30
    while client.get_run(run.id).data.tags[tags.HEARTBEAT] == "1":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert writer.count_unsent() > 5, "it is still sending"
    writer.flush()
    writer.close()


@pytest.mark.parametrize("heartbeat", ["²", "", "never", "9" * 400, "-1"])
def test_an_odd_tag_of_a_stranger_keeps_no_process_from_sending(store: str, heartbeat: str) -> None:
    client = MlflowClient(store)
    odd = client.create_run("0", tags={tags.PROCESS: "elsewhere b n 1 1", tags.HEARTBEAT: heartbeat})
    writer = StoreWriter(store, client)
    writer.create_run({"id": "0"}, "x", {}).end("FINISHED")
    assert writer.flush()
    assert writer.count_unsent() == 0
    writer.close()
    client.delete_run(odd.info.run_id)


def test_a_run_that_is_resumed_names_its_new_process_before_it_is_running(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise `repair` on the same machine would find it RUNNING with the process that is gone."""
    fields = process_identity.describe_process().split(" ")
    gone = " ".join([*fields[:3], "4194304", "1"])
    client = MlflowClient(store)
    run_id = client.create_run("0", tags={tags.PROCESS: gone, tags.HEARTBEAT: "1"}).info.run_id
    client.set_terminated(run_id, "KILLED")
    dead, update_run = [], MlflowClient.update_run

    def update_and_look(self: MlflowClient, *arguments: Any, **options: Any) -> None:
        update_run(self, *arguments, **options)
        dead.extend(dead_runs.list_dead(self))

    monkeypatch.setattr(MlflowClient, "update_run", update_and_look)
    writer = StoreWriter(store, client)
    resumed = writer.reopen_run(run_id, run_id, {}, {})
    assert writer.flush()
    assert client.get_run(run_id).info.status == "RUNNING"
    assert client.get_run(run_id).data.tags[tags.PROCESS] == " ".join(fields)
    assert dead == []
    resumed.end("FINISHED")
    writer.close()
