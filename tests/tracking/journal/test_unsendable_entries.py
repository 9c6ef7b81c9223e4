"""What no store takes is made printable, or refused with its reason, and holds nothing up."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from journals import created, offline, runs_of, write_journal
from mlflow.tracking import MlflowClient
from servers import Server
from small_runs import artifacts, points
from stores import fresh

from tinybench.commands.sync import sync
from tinybench.tracking.journal.journal import find_journals, new_key
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.store_writer import StoreWriter

LATIN = os.fsdecode(b"/data/caf\xe9")  # a path that is no UTF-8: its text has a lone surrogate


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture
def writer(store: str) -> Iterator[StoreWriter]:
    made = StoreWriter(store, MlflowClient(store))
    yield made
    made.discard()


def finish(run: RunWriter) -> None:
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.log_text("behind", "behind.txt")
    run.end("FINISHED")


def check_behind(writer: StoreWriter, store: str, run: RunWriter) -> None:
    """Assert that what was logged behind it is in the store, and that nothing waits."""
    assert writer.flush()
    stored = MlflowClient(store).get_run(run.id)
    assert (stored.info.status, stored.data.metrics["loss"]) == ("FINISHED", 1.0)
    assert "behind.txt" in artifacts(store, run.id)


def check_next_process(store: str) -> None:
    """Assert that a process that begins afterwards sends its own run."""
    with closing(StoreWriter(store, MlflowClient(store))) as other:
        run = other.create_run({"id": "0"}, "innocent", {})
        run.log_metrics({"loss": 2.0}, 1, 1)
    assert (other.unsent, points(store, run.id)) == (0, {("loss", 1, 1, "2.0"): 1})


def test_text_that_is_no_unicode_is_made_printable(store: str, writer: StoreWriter) -> None:
    run = writer.create_run({"id": "0"}, LATIN, {"who": LATIN})
    run.log_params({"data": LATIN, LATIN[1:]: 1})
    run.set_tags({"data": LATIN})
    run.log_text("x", f"notes{LATIN}.txt")
    finish(run)
    check_behind(writer, store, run)
    printable = "/data/caf\\udce9"
    stored = MlflowClient(store).get_run(run.id)
    assert stored.info.run_name == printable
    assert (stored.data.tags["who"], stored.data.tags["data"]) == (printable, printable)
    assert stored.data.params["data"] == printable
    assert f"notes{printable}.txt" in artifacts(store, run.id)


def test_text_in_any_script_stays_as_it_is(store: str, writer: StoreWriter) -> None:
    run = writer.create_run({"id": "0"}, "Größe 大小 🙂", {})
    finish(run)
    check_behind(writer, store, run)
    assert MlflowClient(store).get_run(run.id).info.run_name == "Größe 大小 🙂"


UNSENDABLE: dict[str, Callable[[RunWriter], None]] = {
    "a file name of 256 bytes": lambda run: run.log_text("x", "n" * 256),
    "a step of 2**63": lambda run: run.log_metrics({"m": 1.0}, 2**63, 1),
    "a time of 2**63": lambda run: run.log_metrics({"m": 1.0}, 1, 2**63),
    "a file, then a folder of its name": lambda run: [run.log_text("x", "a"), run.log_text("x", "a/b")][0],
    "a folder, then a file of its name": lambda run: [run.log_text("x", "a/b"), run.log_text("x", "a")][0],
    "a file without a name": lambda run: run.log_text("x", "a/"),
    "a file with a zero in its name": lambda run: run.log_text("x", "a\0b"),
    "a metric with a newline": lambda run: run.log_metrics({"a\nb": 1.0}, 1, 1),
}


@pytest.mark.parametrize("case", UNSENDABLE)
def test_what_no_store_takes_is_refused_and_holds_nothing_up(store: str, case: str) -> None:
    writer = StoreWriter(store, MlflowClient(store))
    run = writer.create_run({"id": "0"}, case, {})
    UNSENDABLE[case](run)
    finish(run)
    check_behind(writer, store, run)
    assert len(writer.journal.sent.refused) == 1
    writer.close()
    check_next_process(store)
    (result,) = sync(to=store)
    assert result.unsent == 0
    assert result.problems[0].startswith("Refused: ")


@pytest.mark.parametrize("values", [{"data": LATIN}, {LATIN[1:]: "1"}], ids=["value", "name"])
@pytest.mark.parametrize("kind", ["params", "tags"])
def test_a_journal_of_an_earlier_version_with_such_text_holds_nothing_up(
    store: str, tmp_path: Path, kind: str, values: dict[str, str]
) -> None:
    key = new_key()
    entries = [
        created(key),
        {"do": kind, "run": key, "values": values},
        {"do": "metrics", "run": key, "values": {"loss": 1.0}, "step": 1, "at": 1},
        {"do": "end", "run": key, "status": "FINISHED", "at": 2},
    ]
    (result,) = sync([write_journal(tmp_path / "b", entries, store)], to=store)
    assert (result.unsent, result.counts.refused) == (0, 1)
    (stored,) = runs_of(MlflowClient(store), key)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"loss": 1.0})


@pytest.mark.parametrize("location", ["gs://bucket/x", "/proc/forbidden"])
def test_artifacts_that_have_no_place_hold_nothing_else_up(
    tmp_path_factory: pytest.TempPathFactory, location: str
) -> None:
    uri = fresh(tmp_path_factory)
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database, database:
        database.execute("update experiments set artifact_location = ?", (location,))
    writer = StoreWriter(uri, MlflowClient(uri))
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("{}", "config.json")
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("FINISHED")
    assert writer.flush()
    stored = MlflowClient(uri).get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"loss": 1.0})
    assert len(writer.journal.sent.refused) == 1
    writer.discard()


def test_artifacts_of_a_run_that_is_refused_are_refused_quickly(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = offline(store)
    run = writer.create_run({"id": "777"}, "refused", {})
    for number in range(60):
        run.log_text(f"{number}", f"many/{number}.txt")
    writer.close()
    (journal,) = find_journals()
    reads, read = [], type(journal).read
    monkeypatch.setattr(type(journal), "read", lambda self: reads.append(self) or read(self))  # type: ignore[func-returns-value]
    (result,) = sync(to=store)
    assert (result.counts.refused, result.unsent) == (61, 0)
    assert len(reads) < 10, "the journal is not read for every entry"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server")).start()
    yield made
    made.kill()


def test_over_http_a_name_that_would_be_cut_is_refused_and_named(server: Server) -> None:
    writer = StoreWriter(server.uri, MlflowClient(server.uri))
    run = writer.create_run({"id": "0"}, "x", {})
    cut, whole = ["a#1.txt", "a#2.txt", "b?1.txt", "c%41.txt"], ["e f.txt", "g+h.txt", "ü.txt"]
    for name in [*cut, *whole]:
        run.log_text(name, f"notes/{name}")
    finish(run)
    check_behind(writer, server.uri, run)
    refused = [*writer.journal.sent.refused.values()]
    assert refused == [f"MLflow's server stores no file with #, ? or % in its name: notes/{name}." for name in cut]
    assert artifacts(server.uri, run.id) == {"behind.txt", *(f"notes/{name}" for name in whole)}
    writer.discard()


def test_a_file_store_takes_names_of_any_kind(store: str, writer: StoreWriter) -> None:
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("x", "notes/a#1?%41.txt")
    finish(run)
    check_behind(writer, store, run)
    assert "notes/a#1?%41.txt" in artifacts(store, run.id)
    assert writer.journal.sent.refused == {}
