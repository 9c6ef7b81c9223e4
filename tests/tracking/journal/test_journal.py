"""The folder of a journal: its locks, its files, what has been sent of it, and damage to each of them."""

from __future__ import annotations

import hashlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from processes import python

from tinybench.core import atomic
from tinybench.core.errors import TrackingError
from tinybench.tracking.journal import journal as journal_module
from tinybench.tracking.journal.entry_file import EntryFile
from tinybench.tracking.journal.journal import (
    Journal,
    Sent,
    find_journals,
    find_unreadable,
    is_key,
    journals_folder,
    new_key,
)

URI = "http://tracking:5000"


@pytest.fixture
def journal() -> Iterator[Journal]:
    made = Journal.create(URI)
    yield made
    made.close()


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_keys_are_told_from_ids() -> None:
    assert is_key(new_key())
    assert new_key() != new_key()
    assert not is_key("0123456789abcdef0123456789abcdef")
    assert not is_key(f"{new_key()}\n")


def test_what_is_written_is_read_by_another(journal: Journal) -> None:
    assert journal.append({"do": "create", "run": "a"}) == {"do": "create", "run": "a", "n": 0}
    journal.append({"do": "end", "run": "a"})
    other = Journal(journal.folder)
    assert (other.id, other.uri, other.offline) == (journal.id, URI, False)
    assert [entry["do"] for entry in other.read()[0]] == ["create", "end"]
    assert not other.is_settled()


def test_journals_come_in_the_order_in_which_they_were_begun() -> None:
    with ExitStack() as closing:
        journals = [Journal.create(uri) for uri in (URI, "sqlite:////a.db", URI)]
        for journal in journals:
            closing.callback(journal.close)
        assert [journal.id for journal in find_journals()] == [journal.id for journal in journals]
        assert [journal.id for journal in find_journals(URI)] == [journals[0].id, journals[2].id]
        assert len({journal.folder.name.partition("-")[0] for journal in journals}) == 3


def test_without_a_folder_there_are_no_journals() -> None:
    assert [*find_journals()] == []


def test_folders_of_others_are_passed_over(journal: Journal) -> None:
    (journals_folder() / "notes").mkdir()
    (journals_folder() / "00000009-0123456789ab").mkdir()
    (journals_folder() / "00000010-0123456789ab.part").mkdir()
    assert [item.id for item in find_journals()] == [journal.id]


def test_a_folder_that_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="is no journal of tinybench: name a folder or file that it wrote"):
        Journal(tmp_path)


def test_a_journal_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "_VERSION", 2)
        Journal.create(URI).close()
    (folder,) = journals_folder().glob("*-*")
    with pytest.raises(TrackingError, match="another version of tinybench: send it with that version"):
        Journal(folder)


def test_a_state_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYBENCH_STATE", str(tmp_path / "file"))
    with pytest.raises(TrackingError, match=r"Cannot write .*: .* Set TINYBENCH_STATE to another folder"):
        Journal.create(URI)


def test_a_disk_that_is_full_at_the_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module.EntryFile, "flush", lambda _: False)
    with pytest.raises(TrackingError, match="No space left on device"):
        Journal.create(URI)
    assert [*find_journals()] == []


_WRITE = """
import sys
from tinybench.tracking.journal.journal import Journal
journal = Journal.create("http://tracking:5000")
journal.append({"do": "create", "run": "a"})
print(journal.folder, flush=True)
sys.stdin.read()
"""


def test_a_journal_is_written_as_long_as_its_process_lives() -> None:
    process = python(_WRITE)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert Journal(folder).is_written()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    dead = Journal(folder)
    assert not dead.is_written()
    assert [entry["n"] for entry in dead.read()[0]] == [0]


def test_the_process_itself_knows_that_it_writes(journal: Journal) -> None:
    assert journal.is_written()
    assert Journal(journal.folder).is_written()
    journal.close()
    assert not Journal(journal.folder).is_written()


def test_what_was_sent_is_known_to_others_and_to_each_store(journal: Journal) -> None:
    for _ in range(3):
        journal.append({"do": "tags", "run": "a"})
    other = Journal(journal.folder)
    journal.mark_sent(1, {"a": "1"}, {})
    journal.mark_sent(3, {"b": "2"}, {2: "too long"})
    assert other.sent == Sent()
    other.reload()
    assert other.sent == journal.sent == Sent(3, {"a": "1", "b": "2"}, {2: "too long"})
    assert other.is_settled()
    elsewhere = Journal(journal.folder, "http://other:5000")
    assert elsewhere.sent == Sent()
    elsewhere.mark_sent(2, {"a": "9"}, {})
    assert Journal(journal.folder, "http://other:5000").sent.ids == {"a": "9"}
    assert Journal(journal.folder, URI).sent.ids == {"a": "1", "b": "2"}


def test_sending_begins_anew_but_the_ids_stay(journal: Journal) -> None:
    journal.append({"do": "tags", "run": "a"})
    journal.mark_sent(1, {"a": "1"}, {0: "no"})
    journal.restart_sending(journal.sent.ids)
    assert Journal(journal.folder).sent == Sent(0, {"a": "1"}, {})
    journal.mark_sent(1, {}, {})
    assert Journal(journal.folder).sent == Sent(1, {"a": "1"}, {})


@pytest.mark.parametrize("name", ["about", "sent", "entries"])
def test_a_damaged_byte_of_any_file_changes_nothing(journal: Journal, tmp_path: Path, name: str) -> None:
    journal.append({"do": "create", "run": "a"})
    journal.mark_sent(1, {"a": "1"}, {0: "no"})
    journal.close()
    content = (journal.folder / name).read_bytes()
    copy = tmp_path / "copy"
    shutil.copytree(journal.folder, copy)
    for position in range(len(content)):
        damaged = bytes([content[position] ^ 0x11])
        (copy / name).write_bytes(content[:position] + damaged + content[position + 1 :])
        other = Journal(copy)
        assert (other.id, other.uri, other.offline, other.sent) == (journal.id, URI, False, journal.sent)
        assert other.read() == ([{"do": "create", "run": "a", "n": 0}], 0)


def test_files_are_stored_once_by_their_content(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    digest, size = journal.store_file(tmp_path / "a.txt")
    assert journal.store_bytes(b"hello") == (digest, size) == (digest, 5)
    assert [path.name for path in (journal.folder / "files").iterdir()] == [digest]
    (tmp_path / "a.txt").unlink()
    journal.link_file(digest, tmp_path / "to" / "b.txt")
    assert (tmp_path / "to" / "b.txt").read_text() == "hello"
    journal.drop_file(digest)
    assert journal.has_file(digest), "it was stored twice"
    journal.drop_file(digest)
    assert not journal.has_file(digest)
    journal.drop_file(digest)


def test_a_damaged_file_is_not_sent(journal: Journal, tmp_path: Path) -> None:
    digest, _ = journal.store_bytes(b"hello")
    (journal.folder / "files" / digest).write_bytes(b"hellO")
    with pytest.raises(FileNotFoundError, match="the journal has lost the file"):
        journal.link_file(digest, tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="is no SHA-256 of a file"):
        journal.link_file("../about", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_full_disk_keeps_files_in_memory_until_there_is_room(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"first")
    with monkeypatch.context() as patch:
        patch.setattr(atomic.Path, "replace", full)
        digests = [journal.store_file(tmp_path / "a")[0], journal.store_bytes(b"second")[0]]
        assert not journal.flush()
        assert journal.count_unwritten_files() == 2
    assert [*(journal.folder / "files").iterdir()] == [], "no half of a file stays"
    for digest, content in zip(digests, [b"first", b"second"], strict=True):
        assert journal.has_file(digest)
        journal.link_file(digest, tmp_path / digest)
        assert (tmp_path / digest).read_bytes() == content
    with journal.temporary_folder() as folder:
        assert not folder.is_relative_to(journal.folder), "the full disk takes nothing"
    assert journal.flush()
    assert journal.count_unwritten_files() == 0
    assert {path.name for path in (journal.folder / "files").iterdir()} == {*digests}
    with journal.temporary_folder() as folder:
        assert folder.is_relative_to(journal.folder)


def test_a_file_that_is_dropped_while_a_disk_has_room_again_does_not_stay(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(atomic.Path, "replace", full)
        digest, _ = journal.store_bytes(b"first")
    real = Journal._write_file

    def write_and_drop(self: Journal, *arguments: Any) -> bool:
        self.drop_file(digest)
        return real(self, *arguments)

    monkeypatch.setattr(Journal, "_write_file", write_and_drop)
    assert journal.flush()
    assert [*(journal.folder / "files").iterdir()] == []


def test_a_file_that_grows_while_it_is_logged_is_stored_as_it_was(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, real = tmp_path / "train.log", journal_module.hash_file
    log.write_text("line 1\n")

    def hash_and_grow(path: Path, name: str) -> str:
        digest = real(path, name)
        with log.open("a") as file:
            file.write("line 2\n")
        return digest

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "hash_file", hash_and_grow)
        digest, size = journal.store_file(log)
    journal.link_file(digest, tmp_path / "logged")
    assert ((tmp_path / "logged").read_text(), size) == ("line 1\n", 7)


def test_a_file_that_another_artifact_needs_is_not_dropped(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    digest, _ = journal.store_file(tmp_path / "a")
    assert journal.store_bytes(b"same")[0] == digest
    journal.drop_file(digest)
    assert journal.has_file(digest)
    journal.drop_file(digest)
    assert not journal.has_file(digest)


def test_two_threads_store_the_same_content_on_a_slow_disk(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither writes into the half of the other: a file under its SHA-256 is always whole."""
    content = bytes(range(256)) * 400
    (tmp_path / "big").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    seen: list[bool] = []

    def copy_slowly(source: Path, target: Path) -> None:
        with Path(source).open("rb") as read, Path(target).open("wb") as written:
            while piece := read.read(20_000):
                written.write(piece)
                written.flush()
                time.sleep(0.05)

    monkeypatch.setattr(shutil, "copyfile", copy_slowly)
    stores = [
        lambda: journal.store_file(tmp_path / "big"),
        lambda: time.sleep(0.25) or journal.store_file(tmp_path / "big"),
    ]
    threads = [threading.Thread(target=each) for each in stores]
    for thread in threads:
        thread.start()
    path = journal.folder / "files" / digest
    while any(thread.is_alive() for thread in threads):
        seen += [path.read_bytes() == content] if path.exists() else []
        time.sleep(0.01)
    assert seen
    assert all(seen)
    assert [file.name for file in path.parent.iterdir()] == [digest]


@pytest.mark.parametrize("how", ["emptied", "of another version", "a damaged note of what was sent"])
def test_a_journal_with_entries_that_cannot_be_read_is_named(journal: Journal, how: str) -> None:
    journal.append({"do": "tags", "run": "a"})
    assert find_unreadable() == []
    about = journal.folder / "about"
    if how == "emptied":
        about.write_bytes(b"")
    elif how == "of another version":
        about.unlink()
        file = EntryFile(about)
        file.append({"version": 2, "id": "a", "uri": URI, "offline": True})
        file.close()
    else:
        file = EntryFile(journal.folder / "sent")
        file.append({"upto": None})
        file.close()
    (journals_folder() / "00000009-0123456789ab").mkdir()
    assert find_unreadable() == [journal.folder]
    assert [*find_journals()] == []


def test_a_removed_journal_is_gone(journal: Journal) -> None:
    journal.append({"do": "tags", "run": "a"})
    journal.remove()
    assert not journal.folder.exists()
    assert [*find_journals()] == []
