"""Bundles that are damaged, or made to do harm: they are told in one line, and change nothing but their own store."""

from __future__ import annotations

import hashlib
import random
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from journals import created, offline, runs_of, write_journal, zipped
from mlflow.tracking import MlflowClient
from small_runs import artifacts, points
from stores import fresh

from tinybench.commands.sync import pack, sync
from tinybench.core.errors import ConfigError, TinybenchError
from tinybench.tracking.journal import bundle
from tinybench.tracking.journal.entry_file import EntryFile
from tinybench.tracking.journal.journal import find_journals, journals_folder, new_key
from tinybench.tracking.store_writer import StoreWriter

KEY = new_key()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture
def packed(store: str, tmp_path: Path) -> Path:
    """A bundle as tinybench writes it, of a run with a file; this machine has its journal no more."""
    writer = offline(store)
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("hello " * 500, "a.txt")
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("FINISHED")
    writer.close()
    pack(tmp_path / "run.zip")
    for journal in find_journals():
        journal.remove()
    return tmp_path / "run.zip"


def attempt(path: Path, store: str) -> str:
    """What `tinybench sync` says of a bundle; a traceback instead is a failure of the test."""
    try:
        problems = [problem for result in sync([path], to=store) for problem in result.problems]
    except TinybenchError as error:
        problems = [str(error)]
    assert all("\n" not in problem for problem in problems)
    return " ".join(problems)


def file_entry(path: Any, content: bytes) -> dict[str, Any]:
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


@pytest.mark.parametrize("up", ["x\n/", "\n/", "x\n/y\n/", ""], ids=repr)
@pytest.mark.parametrize("kind", ["model", "file"])
def test_a_path_with_a_newline_leads_out_of_no_folder(store: str, tmp_path: Path, up: str, kind: str) -> None:
    victim = tmp_path / "home" / ".bashrc"
    victim.parent.mkdir()
    victim.write_text("the user's own")
    key = new_key()
    described = file_entry(f"{up}{'../' * 30}{str(victim)[1:]}", b"evil")
    if kind == "model":
        described = {"key": new_key(), "name": "model", "step": 1, "files": [described]}
    entries = [created(key), {"do": kind, "run": key, **described}]
    (result,) = sync([zipped(write_journal(tmp_path / "b", entries, store, [b"evil"]), tmp_path / "run.zip")], to=store)
    assert result.counts.refused == 1
    assert victim.read_text() == "the user's own"


@pytest.mark.parametrize("name", ["sent", "entries", "files", "writer.lock"])
def test_a_link_in_a_folder_is_refused_and_what_it_leads_to_stays(store: str, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("the user's own")
    folder = write_journal(tmp_path / "b", [created(new_key())], store)
    if (folder / name).is_dir():
        (folder / name).rmdir()
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(victim)
    with pytest.raises(ConfigError, match=f"{name} is a link or no file: tinybench writes none of these"):
        sync([folder], to=store)
    assert victim.read_text() == "the user's own"


def test_what_was_sent_is_not_noted_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("the user's own")
    (tmp_path / "sent").symlink_to(tmp_path / "victim")
    file = EntryFile(tmp_path / "sent")
    file.append({"upto": 1})
    assert not file.flush()
    assert (tmp_path / "victim").read_text() == "the user's own"


@contextmanager
def counting_server() -> Iterator[tuple[str, list[str]]]:
    """A server that notes the requests, with the passwords that they bring."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_error(404)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


def test_the_store_that_a_bundle_names_is_asked_nothing_until_it_is_confirmed(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
    with counting_server() as (address, requests):
        folder = write_journal(tmp_path / "b", [created(new_key())], address)
        with pytest.raises(ConfigError, match=f"was written for {address}: confirm it with --to {address}"):
            sync([folder])
        assert requests == []
        sync([folder], to=address)
        assert requests != []


def test_a_bundle_of_the_default_store_needs_no_confirmation(
    store: str, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    (result,) = sync([packed])
    assert result.is_complete


def test_any_damage_to_a_bundle_is_told_in_a_line(store: str, packed: Path, tmp_path: Path) -> None:
    """Each of 200 damaged bundles is told, or read; some of those that are read are sent."""
    content, seed = packed.read_bytes(), random.Random(1)
    told: list[str] = []
    for number in range(200):
        damaged = bytearray(content)
        for _ in range(seed.choice((1, 1, 2, 5))):
            damaged[seed.randrange(len(damaged))] = seed.randrange(256)
        (tmp_path / "bad.zip").write_bytes(damaged)
        try:
            with bundle.open_bundle(tmp_path / "bad.zip", None):
                pass
        except TinybenchError as error:
            told.append(str(error))
        if number % 20 == 0:
            attempt(tmp_path / "bad.zip", store)
    assert len(told) > 20
    assert all("\n" not in line for line in told)


def test_a_name_that_is_not_the_utf_8_it_says_is_told(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("é/entries", "x")  # marked as UTF-8
    content = (tmp_path / "bad.zip").read_bytes()
    (tmp_path / "bad.zip").write_bytes(content.replace("é".encode(), b"\x83\x83"))
    with (
        pytest.raises(TinybenchError, match="is damaged, or no file of tinybench sync --pack"),
        bundle.open_bundle(tmp_path / "bad.zip", None),
    ):
        pass


NO_JOURNALS: dict[str, list[Any]] = {
    "no action": [created(KEY), {"run": KEY}],
    "unknown action": [created(KEY), {"do": "x", "run": KEY}],
    "no run": [created(KEY), {"do": "end", "status": "FINISHED", "at": 1}],
    "run is a number": [created(KEY) | {"run": 5}],
    "values are a list": [created(KEY), {"do": "params", "run": KEY, "values": [1]}],
    "value of a tag is a number": [created(KEY), {"do": "tags", "run": KEY, "values": {"a": 5}}],
    "time is a text": [created(KEY) | {"at": "x"}],
    "step is nothing": [created(KEY), {"do": "metrics", "run": KEY, "values": {"a": 1.0}, "step": None, "at": 1}],
    "path is a number": [created(KEY), {"do": "file", "run": KEY, "path": 5, "sha256": "0" * 64}],
    "hash is a number": [created(KEY), {"do": "file", "run": KEY, "path": "a", "sha256": 5}],
    "tags are nothing": [created(KEY) | {"tags": None}],
    "name is a list": [created(KEY) | {"name": [1]}],
    "experiment is a list": [created(KEY) | {"experiment": [1]}],
    "end without status": [created(KEY), {"do": "end", "run": KEY}],
    "files are nothing": [created(KEY), {"do": "model", "run": KEY, "key": "k", "name": "m", "step": 1, "files": None}],
    "data set is nothing": [created(KEY), {"do": "dataset", "run": KEY, "dataset": None}],
}


@pytest.mark.parametrize("case", NO_JOURNALS)
def test_entries_that_tinybench_never_writes_hold_no_other_journal_up(store: str, tmp_path: Path, case: str) -> None:
    bad = write_journal(tmp_path / "bundle" / "00000001-0123456789ab", NO_JOURNALS[case], store)
    key = new_key()
    good = [created(key), {"do": "end", "run": key, "status": "FINISHED", "at": 2}]
    write_journal(bad.parent / "00000002-0123456789ab", good, store)
    attempt(bad.parent, store)
    (run,) = runs_of(MlflowClient(store), key)
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("case", ["no action", "values are a list", "hash is a number"])
def test_entries_that_cannot_be_sent_are_a_problem_of_the_result(store: str, tmp_path: Path, case: str) -> None:
    folder = write_journal(tmp_path / "b", NO_JOURNALS[case], store)
    (result,) = sync([folder], to=store)
    assert not result.is_complete
    assert len(result.problems) == 1


def test_a_journal_that_cannot_be_sent_does_not_hold_up_the_next_process(store: str) -> None:
    write_journal(journals_folder() / "00000001-0123456789ab", NO_JOURNALS["values are a list"], store)
    writer = StoreWriter(store, MlflowClient(store))
    run = writer.create_run({"id": "0"}, "innocent", {})
    run.log_metrics({"loss": 1.0}, 1, 1)
    writer.close()
    assert (writer.unsent, points(store, run.id)) == (0, {("loss", 1, 1, "1.0"): 1})


@pytest.mark.parametrize(
    "sent",
    [
        {"upto": None, "ids": {}, "refused": {}},
        {"upto": 1, "ids": [1], "refused": {}},
        {"upto": 1, "ids": {}, "refused": {"x": "y"}},
        {"upto": 1},
    ],
    ids=["no number", "ids are a list", "refused is no number", "no ids"],
)
def test_a_note_of_what_was_sent_that_tinybench_never_writes_is_told(
    store: str, tmp_path: Path, sent: dict[str, Any]
) -> None:
    folder = write_journal(tmp_path / "b", [created(new_key())], store, sent=sent)
    with pytest.raises(TinybenchError, match="sent is damaged: delete it, and everything is sent again"):
        sync([folder], to=store)


def test_an_entry_that_is_nested_too_deep_is_passed_over(store: str, tmp_path: Path) -> None:
    folder = write_journal(tmp_path / "b", [created(new_key())], store)
    line = b'{"n":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with (folder / "entries").open("ab") as file:
        file.write(b"\n%08x %b\n" % (zlib.crc32(line), line))
    (result,) = sync([folder], to=store)
    assert (result.counts.sent, result.problems) == (1, [])


def test_a_member_that_would_fill_the_disk_is_refused(store: str, tmp_path: Path) -> None:
    folder = write_journal(tmp_path / "b", [], store)
    with zipfile.ZipFile(tmp_path / "run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "about", "00000001-0123456789ab/about")
        archive.writestr("00000001-0123456789ab/entries", b"\n" * (1 << 25))
    with pytest.raises(ConfigError, match="entries would grow to 33,554,432 bytes"):
        sync([tmp_path / "run.zip"], to=store)


def test_a_bundle_of_many_like_entries_is_no_such_member(store: str, tmp_path: Path) -> None:
    writer = offline(store)
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("\n" * 500_000, "lines.txt")
    for step in range(500):
        run.log_metrics({"loss": 0.0}, step, 1)
    writer.close()
    pack(tmp_path / "run.zip")
    for journal in find_journals():
        journal.remove()
    (result,) = sync([tmp_path / "run.zip"], to=store)
    assert result.is_complete
    (stored,) = runs_of(MlflowClient(store), run.key)
    assert artifacts(store, stored.info.run_id) == {"lines.txt"}
