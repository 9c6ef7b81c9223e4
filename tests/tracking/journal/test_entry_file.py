"""Files of entries that were cut, damaged, written by several, or met a full disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.tracking.journal import entry_file
from tinybench.tracking.journal.entry_file import EntryFile, read_entries

ENTRIES = [{"do": "metrics", "run": "r", "values": {"loss": number / 3, "text": "ü\n\x00"}} for number in range(5)]
NUMBERED = [entry | {"n": number} for number, entry in enumerate(ENTRIES)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = EntryFile(tmp_path / "entries")
    for entry in ENTRIES:
        file.append(entry)
    file.close()
    return tmp_path / "entries"


def test_entries_come_back_with_their_numbers(path: Path) -> None:
    assert read_entries(path) == (NUMBERED, 0)


def test_numbers_go_on_when_the_file_is_continued(path: Path) -> None:
    file = EntryFile(path)
    assert file.append({"do": "end"}) == {"do": "end", "n": 5}
    file.close()
    assert read_entries(path)[0] == [*NUMBERED, {"do": "end", "n": 5}]


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_entries(tmp_path / "none") == ([], 0)


def test_every_byte_can_be_damaged_without_a_loss(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for position in range(len(content)):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(content[:position] + bytes([content[position] ^ 0x15]) + content[position + 1 :])
        assert read_entries(damaged) == (NUMBERED, 0), f"byte {position}"


def test_a_file_that_is_cut_at_any_byte_has_every_complete_entry(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    for end in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:end])
        entries, damaged = read_entries(tmp_path / "cut")
        assert entries == NUMBERED[: len(entries)]
        assert damaged == 0
        continued = EntryFile(tmp_path / "cut")
        continued.append({"do": "more"})
        continued.close()
        assert read_entries(tmp_path / "cut")[0] == [*entries, {"do": "more", "n": len(entries)}]


def test_an_entry_of_which_both_copies_are_damaged_is_counted(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"n":2', b'"n":7'))
    assert read_entries(path) == ([entry for entry in NUMBERED if entry["n"] != 2], 1)


@settings(max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 2000))
def test_garbage_anywhere_is_passed_over(tmp_path_factory: pytest.TempPathFactory, garbage: bytes, place: int) -> None:
    path = tmp_path_factory.mktemp("garbage") / "entries"
    file = EntryFile(path)
    for entry in ENTRIES:
        file.append(entry)
    file.close()
    content = path.read_bytes()
    place = min(place, len(content))
    path.write_bytes(content[:place] + garbage + content[place:])
    assert read_entries(path) == (NUMBERED, 0)


@pytest.mark.parametrize("line", [b"[1]", b'{"n":-1}', b'{"n":"1"}', b'{"do":"x"}', b"{", b'{"n":true}x'])
def test_what_is_no_entry_is_passed_over_even_with_a_checksum(path: Path, line: bytes) -> None:
    import zlib

    with path.open("ab") as file:
        file.write(b"\n%08x %b\n" % (zlib.crc32(line), line))
    assert read_entries(path) == (NUMBERED, 0)


def test_a_full_disk_keeps_entries_in_memory_until_there_is_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = EntryFile(path)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(entry_file.os, "write", full)
        file.append({"do": "first"})
        file.append({"do": "second"})
        assert not file.flush()
    assert read_entries(path) == (NUMBERED, 0)
    assert file.append({"do": "third"}) == {"do": "third", "n": 7}
    assert file.flush()
    assert [entry["do"] for entry in read_entries(path)[0][5:]] == ["first", "second", "third"]
    file.close()


def test_a_disk_that_takes_half_a_line_costs_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, real = EntryFile(path), os.write
    with monkeypatch.context() as patch:
        patch.setattr(entry_file.os, "write", lambda descriptor, data: real(descriptor, data[: len(data) // 3]))
        file.append({"do": "half"})
    assert read_entries(path) == (NUMBERED, 0)
    file.close()
    assert read_entries(path) == ([*NUMBERED, {"do": "half", "n": 5}], 0)
