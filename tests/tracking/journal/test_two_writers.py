"""Threads and processes that write, send and end a journal at the same time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from processes import python
from small_runs import points
from stores import fresh

from tinybench.tracking.journal.entry_file import EntryFile
from tinybench.tracking.journal.journal import Journal, find_journals
from tinybench.tracking.journal.replay import Replay
from tinybench.tracking.journal.sender import Sender, send_journal
from tinybench.tracking.store_writer import StoreWriter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


def test_a_writer_that_ends_while_its_journal_is_sent_loses_nothing(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tinybench sync` sends what an offline training has logged so far; the training logs more and ends meanwhile."""
    client = MlflowClient(store)
    writer = StoreWriter(store, None, offline=True)
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_metrics({"loss": 1.0}, 1, 1)
    (journal,) = find_journals()
    real = Replay.send

    def send_and_let_the_writer_end(replay: Replay, entries: list[Any]) -> None:
        real(replay, entries)
        run.log_metrics({"loss": 0.5}, 2, 2)
        run.end("FINISHED")
        writer.close()

    with monkeypatch.context() as patch:
        patch.setattr(Replay, "send", send_and_let_the_writer_end)
        send_journal(journal, client)
    (left,) = find_journals()
    send_journal(left, client)
    run_id = left.sent.ids[run.key]
    assert points(store, run_id) == {("loss", 1, 1, "1.0"): 1, ("loss", 2, 2, "0.5"): 1}
    assert client.get_run(run_id).info.status == "FINISHED"
    assert [*find_journals()] == []


def test_threads_queue_entries_in_the_order_of_their_numbers(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[int] = []
    writer = StoreWriter(store, MlflowClient(store))
    real = Sender.put

    def put_slowly(sender: Sender, entry: dict[str, Any]) -> None:
        time.sleep(0.001 * (entry["n"] % 3))
        queued.append(entry["n"])
        real(sender, entry)

    monkeypatch.setattr(Sender, "put", put_slowly)
    run = writer.create_run({"id": "0"}, "x", {})
    threads = [
        threading.Thread(target=lambda start=start: [run.log_metrics({"m": 1.0}, start + k, k) for k in range(20)])
        for start in (0, 100, 200, 300)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert queued == sorted(queued)
    assert len(points(store, run.id)) == 80


@pytest.mark.parametrize("is_written", [False, True], ids=["before it is written", "after it is written"])
def test_ctrl_c_while_an_entry_is_written_loses_no_entry(
    store: str, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    writer = StoreWriter(store, MlflowClient(store))
    run = writer.create_run({"id": "0"}, "x", {})
    real = EntryFile._write_unwritten

    def interrupt(file: EntryFile) -> None:
        if is_written:
            real(file)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EntryFile, "_write_unwritten", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("KILLED", "Interrupted by Ctrl-C.")
    writer.close()
    assert points(store, run.id) == {("loss", 1, 1, "1.0"): 1}
    assert [*find_journals()] == []


def test_an_append_does_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, done = threading.Event(), threading.Event()

    def fsync(_: int) -> None:
        begun.set()
        done.wait(10)

    monkeypatch.setattr(os, "fsync", fsync)
    file = EntryFile(tmp_path / "entries")
    file.append({"do": "first"})
    flushing = threading.Thread(target=file.flush)
    flushing.start()
    begun.wait(10)
    began = time.monotonic()
    file.append({"do": "second"})
    assert time.monotonic() - began < 1
    done.set()
    flushing.join()
    file.close()


def test_a_disk_that_fails_to_write_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    file = EntryFile(tmp_path / "entries")
    file.append({"do": "first"})
    assert not file.flush()
    assert file.flush()
    assert file.flush()
    assert len(calls) == 2, "nothing is to be written the third time"
    file.close()


def test_two_processes_begin_journals_at_the_same_moment() -> None:
    code = "from tinybench.tracking.journal.journal import Journal; print(Journal.create('http://a').folder.name)"
    processes = [python(code) for _ in range(4)]
    names = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert len({name.partition("-")[0] for name in names}) == 4, names
    assert len([*find_journals()]) == 4
    assert all(not Journal(journal.folder).is_written() for journal in find_journals())
