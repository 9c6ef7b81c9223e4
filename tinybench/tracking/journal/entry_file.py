"""Append entries to a file from which every complete entry can be read back, whatever happened to its writer.

An entry is a line of JSON behind its CRC-32. Each line is written twice, with an empty line between, so that a damaged
byte costs no entry; a line that a killed process did not finish is left out.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # in a folder from elsewhere a link could lead to any file of the user

Entry = dict[str, Any]
"""A JSON object. Its number `n`, counted from 0, is given by `EntryFile.append`."""


class EntryFile:
    """An append-only file of entries. Its methods may be called from several threads of one process.

    Args:
        path: The file; it is continued if it exists.

    Attributes:
        path: The file.
        count: Number of the next entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        entries, _ = read_entries(path)
        self.count = entries[-1]["n"] + 1 if entries else 0
        self._lock = threading.Lock()
        self._unwritten: list[bytes] = []  # lines that a full disk did not take
        self._file: int | None = None
        self._is_dirty = False

    def append(self, entry: Entry, announce: Callable[[Entry], None] | None = None) -> Entry:
        """Give an entry its number and write it; if the disk takes no more, keep it in memory for the next call.

        Args:
            entry: The entry.
            announce: Called with the numbered entry before it is written, so that an interruption (Ctrl-C) cannot leave
                an entry in the file that was not announced.

        Returns:
            The entry with its number `n`.
        """
        with self._lock:
            numbered = entry | {"n": self.count}
            line = _encode(numbered)
            self.count += 1
            if announce is not None:
                announce(numbered)
            self._unwritten.append(line)
            self._write_unwritten()
        return numbered

    def flush(self) -> bool:
        """Write what a full disk did not take before and have the system write the file to the disk.

        Returns:
            True if every entry is on the disk.
        """
        with self._lock:
            self._write_unwritten()
            is_written = not self._unwritten
            if self._file is None or not self._is_dirty:
                return is_written
            try:
                descriptor = os.dup(self._file)  # nobody waits for the disk in order to append or close
            except OSError:
                return False
            self._is_dirty = False
        try:
            os.fsync(descriptor)
        except OSError:
            self._is_dirty = True
            return False
        finally:
            os.close(descriptor)
        return is_written

    def close(self) -> None:
        """Close the file, after a last attempt to write all entries."""
        self.flush()
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _write_unwritten(self) -> None:
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_FOLLOW, 0o600)
            while self._unwritten:
                data = self._unwritten[0]
                if os.write(self._file, data) < len(data):
                    return  # half a line is read as damaged; the whole line is written once there is room
                self._unwritten.pop(0)
                self._is_dirty = True
        except OSError:
            return


def read_entries(path: Path) -> tuple[list[Entry], int]:
    """Read the entries of a file in the order of their numbers.

    Args:
        path: The file; one that does not exist has no entries.

    Returns:
        The entries, each once, and the number of entries of which both copies are damaged.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    by_number: dict[int, Entry] = {}
    previous = b""
    for line in content.split(b"\n"):
        if line == previous:
            continue  # the second copy
        entry = _decode(line)
        if entry is not None:
            by_number.setdefault(entry["n"], entry)
            previous = line
    entries = [by_number[number] for number in sorted(by_number)]
    return entries, (entries[-1]["n"] + 1 - len(entries)) if entries else 0


def _encode(entry: Entry) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    line = b"\n%08x %b\n" % (zlib.crc32(text), text)
    return line + line


def _decode(line: bytes) -> Entry | None:
    """Return the entry of a line; None if the line is damaged."""
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_entry = isinstance(entry, dict) and isinstance(entry.get("n"), int) and entry["n"] >= 0
    return entry if is_entry else None
