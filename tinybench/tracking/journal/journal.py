"""A journal: the folder with everything that one process logs to one store, until it is sent.

`entries` holds what was logged, `files` the artifacts by their SHA-256, `sent` how far the entries have been sent and
the ids of runs that the store gave, and `about` the address of the store. A journal refers to nothing outside its
folder, so that the folder can be carried to another machine and sent from there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import filelock

from tinybench.core import atomic, paths
from tinybench.core.errors import TrackingError
from tinybench.core.hashing import hash_file
from tinybench.tracking.journal.entry_file import Entry, EntryFile, read_entries
from tinybench.tracking.journal.sent import Sent

KEY_PATTERN = re.compile(r"local-[0-9a-f]{32}")
ABOUT_NAME = "about"
_SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")
_NAME_PATTERN = re.compile(r"(\d{8})-[0-9a-f]{12}")
_VERSION = 1


def new_key() -> str:
    """Return the key of a new run or model: it takes the place of the store's id until the store has given one."""
    return f"local-{uuid.uuid4().hex}"


def is_key(run: str) -> bool:
    """Return whether a run is named by a key, and not by the id that a store gave it."""
    return KEY_PATTERN.fullmatch(run) is not None


class LostFileError(FileNotFoundError):
    """A file of an entry that the journal does not hold, or holds damaged."""


class Journal:
    """A folder with what one process logged to one store.

    Args:
        folder: The folder; it exists.
        target: The store that it is sent to, as `store.identity` names it; the one that it was written for if None.

    Attributes:
        folder: The same.
        id: Identifies the journal, also its copies.
        uri: The store that it was written for.
        offline: Whether the process that writes it leaves the sending to others.
        sent: What has been sent.

    Raises:
        TrackingError: The folder is no journal.
    """

    def __init__(self, folder: Path, target: str | None = None) -> None:
        self.folder = folder
        try:
            about = read_entries(folder / ABOUT_NAME)[0][0]
            self.id, self.uri, self.offline = str(about["id"]), str(about["uri"]), bool(about["offline"])
        except (OSError, IndexError, KeyError) as error:
            raise TrackingError(f"{folder} is no journal of tinybench: name a folder or file that it wrote.") from error
        if about.get("version") != _VERSION:
            raise TrackingError(f"{folder} was written by another version of tinybench: send it with that version.")
        self._entries: EntryFile | None = None
        self._sent_file: EntryFile | None = None
        self._uses: Counter[str] = Counter()  # of files, by the entries of this process
        self._bytes: dict[str, bytes] = {}  # of files that a full disk did not take
        self._writer_lock = filelock.FileLock(folder / "writer.lock")
        self.send_lock = filelock.FileLock(folder / "send.lock")
        is_own_store = target in (None, self.uri)
        self._sent_name = "sent" if is_own_store else f"sent-{hashlib.sha256(str(target).encode()).hexdigest()[:12]}"
        try:
            self.sent = self._read_sent()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TrackingError(
                f"{folder / self._sent_name} is damaged: delete it, and everything is sent again."
            ) from error

    @classmethod
    def create(cls, uri: str, *, offline: bool = False) -> Journal:
        """Create a journal for a store and lock it for this process to write to.

        Args:
            uri: The store, as `store.identity` names it.
            offline: Whether this process leaves the sending to others.

        Raises:
            TrackingError: The state folder cannot be written.
        """
        folder = journals_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / "new.lock"):
                number = max((int(match[1]) for match in map(_match_name, folder.iterdir()) if match), default=0) + 1
                name = f"{number:08d}-{uuid.uuid4().hex[:12]}"
                temporary = folder / f"{name}.part"
                (temporary / "files").mkdir(parents=True)
                about = {"version": _VERSION, "id": uuid.uuid4().hex, "uri": uri, "offline": offline}
                _write_about(temporary / ABOUT_NAME, about)
                lock = filelock.FileLock(temporary / "writer.lock")
                lock.acquire(timeout=0)  # before others can see the journal
                temporary.rename(folder / name)
            journal = cls(folder / name)
            journal._writer_lock = lock
            journal._entries = EntryFile(journal.entries_path)
        except OSError as error:
            raise TrackingError(
                f"Cannot write {folder}: {error.strerror or error}. Set TINYBENCH_STATE to another folder."
            ) from error
        return journal

    @property
    def entries_path(self) -> Path:
        """The file of entries."""
        return self.folder / "entries"

    def is_written(self) -> bool:
        """Return whether a living process writes to this journal, perhaps this one."""
        if self._writer_lock.is_locked:
            return True
        try:
            with self._writer_lock.acquire(timeout=0):
                return False
        except filelock.Timeout:
            return True

    def append(self, entry: Entry, announce: Callable[[Entry], None] | None = None) -> Entry:
        """Write an entry and return it with its number, as `EntryFile.append` does."""
        assert self._entries is not None, "the journal is locked for writing"
        return self._entries.append(entry, announce)

    def flush(self) -> bool:
        """Have the system write everything to the disk; return whether it is there."""
        for digest, content in [*self._bytes.items()]:
            if not self._write_file(digest, content):
                return False
            self._bytes.pop(digest, None)
            if self._uses[digest] <= 0:  # it was dropped by another thread meanwhile
                (self.folder / "files" / digest).unlink(missing_ok=True)
        return self._entries is None or self._entries.flush()

    def read(self) -> tuple[list[Entry], int]:
        """Return all entries, and the number of those that are damaged."""
        return read_entries(self.entries_path)

    def store_file(self, source: Path) -> tuple[str, int]:
        """Copy a file into the journal, and return its SHA-256 and its size.

        A file that a full disk does not take is kept in memory.
        """
        copy = self.folder / "files" / f"{uuid.uuid4().hex}.part"
        try:
            shutil.copyfile(source, copy)
            digest, size = (
                hash_file(copy, "sha256"),
                copy.stat().st_size,
            )  # of the copy: the source may change meanwhile
            copy.replace(self.folder / "files" / digest)
        except OSError:
            return self.store_bytes(source.read_bytes())
        finally:
            copy.unlink(missing_ok=True)
        self._uses[digest] += 1
        return digest, size

    def store_bytes(self, content: bytes) -> tuple[str, int]:
        """Store the content of a file, and return its SHA-256 and its size."""
        digest = hashlib.sha256(content).hexdigest()
        self._uses[digest] += 1
        if not ((self.folder / "files" / digest).exists() or self._write_file(digest, content)):
            self._bytes[digest] = content
        return digest, len(content)

    def _write_file(self, digest: str, content: bytes) -> bool:
        """Write a file; return False if the disk does not take it."""
        try:
            with atomic.replacing(self.folder / "files" / digest) as temporary:
                temporary.write_bytes(content)
        except OSError:
            return False
        return True

    @contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Yield a folder for files that are about to be sent: beside the journal's own, so that they can be links.

        While a full disk has left files in memory, or where the journal cannot be written, it is elsewhere.
        """
        with TemporaryDirectory(
            dir=None if self._bytes or not os.access(self.folder, os.W_OK) else self.folder
        ) as folder:
            yield Path(folder)

    def count_unwritten_files(self) -> int:
        """Return the number of files that the disk does not take and that end with this process."""
        return len(self._bytes)

    def link_file(self, digest: str, target: Path) -> None:
        """Put a stored file at a path, without copying it where the file system can link.

        Raises:
            LostFileError: The journal does not hold the file, or holds it damaged.
        """
        if not _SHA256_PATTERN.fullmatch(digest):
            raise LostFileError(f"{digest!r} is no SHA-256 of a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        if digest in self._bytes:
            target.write_bytes(self._bytes[digest])
            return
        source = self.folder / "files" / digest
        if not source.is_file() or hash_file(source, "sha256") != digest:
            raise LostFileError(f"the journal has lost the file {digest}")
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    def has_file(self, digest: str) -> bool:
        """Return whether the journal holds a file."""
        return digest in self._bytes or (self.folder / "files" / digest).is_file()

    def drop_file(self, digest: str) -> None:
        """Delete a file that an entry needs no more, unless another entry of this process needs it."""
        self._uses[digest] -= 1
        if self._uses[digest] > 0:
            return
        self._bytes.pop(digest, None)
        (self.folder / "files" / digest).unlink(missing_ok=True)

    def reload(self) -> None:
        """Read again what has been sent, perhaps by another process."""
        self.sent = self._read_sent()

    def is_settled(self) -> bool:
        """Return whether every entry has been sent or refused."""
        entries, _ = self.read()
        return not entries or entries[-1]["n"] < self.sent.upto

    def mark_sent(self, upto: int, ids: dict[str, str], refused: dict[int, str]) -> None:
        """Note which entries are settled, and the ids and refusals that came of it."""
        self.sent = Sent(upto, self.sent.ids | ids, self.sent.refused | refused)
        if self._sent_file is None:
            self._sent_file = EntryFile(self.folder / self._sent_name)
        self._sent_file.append({"upto": upto, "ids": ids, "refused": {str(n): reason for n, reason in refused.items()}})

    def _read_sent(self) -> Sent:
        sent = Sent()
        for line in read_entries(self.folder / self._sent_name)[0]:
            sent.upto = max(sent.upto, int(line["upto"]))
            sent.ids.update(line["ids"])
            sent.refused.update({int(number): str(reason) for number, reason in line["refused"].items()})
        return sent

    def restart_sending(self, ids: dict[str, str]) -> None:
        """Have every entry sent again by the next replay, those that were refused included; keep the ids."""
        if self._sent_file is not None:
            self._sent_file.close()
            self._sent_file = None
        (self.folder / self._sent_name).unlink(missing_ok=True)
        self.sent = Sent()
        self.mark_sent(0, ids, {})

    def close(self) -> None:
        """Release the journal: other processes may send and remove it."""
        self.flush()
        self._close_files()
        self._writer_lock.release()

    def _close_files(self) -> None:
        for file in (self._entries, self._sent_file):
            if file is not None:
                file.close()
        self._entries = self._sent_file = None

    def remove(self) -> None:
        """Delete the journal."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def journals_folder() -> Path:
    """Return the folder of this machine's journals."""
    return paths.state_folder() / "journal"


def find_journals(uri: str | None = None) -> Iterator[Journal]:
    """Yield the journals of this machine in the order of their creation.

    Args:
        uri: Only those for this store, an address without a password; all if None.
    """
    folder = journals_folder()
    if not folder.is_dir():
        return
    for path in sorted(path for path in folder.iterdir() if _match_name(path)):
        try:
            journal = Journal(path)
        except TrackingError:
            continue  # another process has just removed it
        if uri is None or journal.uri == uri:
            yield journal


def find_unreadable() -> list[Path]:
    """Return the folders on this machine that hold entries and are no journal that this version can read."""
    unreadable = []
    for path in journals_folder().glob("*/entries"):
        if _match_name(path.parent):
            try:
                Journal(path.parent)
            except TrackingError:
                if path.exists():  # otherwise another process has just removed it
                    unreadable.append(path.parent)
    return sorted(unreadable)


def _write_about(path: Path, about: Entry) -> None:
    file = EntryFile(path)
    file.append(about)
    is_written = file.flush()
    file.close()
    if not is_written:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _match_name(path: Path) -> re.Match[str] | None:
    return _NAME_PATTERN.fullmatch(path.name)
