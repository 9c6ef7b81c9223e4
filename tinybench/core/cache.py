"""The cache: entries that can be listed, leased while they are used, and pruned when nobody uses them.

An entry is a folder. A process that uses it holds a lease, which is a locked file: the system releases the lock
when the process ends, even if it crashes, so a lease never outlives its process.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tinybench.core import paths
from tinybench.core.errors import FeatureError

KINDS = ("features", "data")
_DESCRIPTION = "about.json"

_process_leases: dict[Path, ExitStack] = {}


@dataclass(frozen=True)
class CacheEntry:
    """A folder of the cache.

    Attributes:
        kind: `features` or `data`.
        folder: The folder.
        bytes: Its size on disk.
        last_used: Time of the last use, in seconds since 1970.
        in_use: True if a running process holds a lease.
        description: A text that says what the entry holds.
    """

    kind: str
    folder: Path
    bytes: int
    last_used: float
    in_use: bool
    description: str


def root_folder() -> Path:
    """Return the folder that holds all entries; create it if it does not exist.

    Raises:
        FeatureError: It cannot be created.
    """
    folder = paths.cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeatureError(
            f"Cannot write to {folder} ({error.strerror}): set TINYBENCH_CACHE to a folder of yours."
        ) from error
    return folder


def size_budget(limit: int | None, kinds: tuple[str, ...] = ("features",)) -> int:
    """Return how many bytes entries of some kinds may take.

    Args:
        limit: The setting of the user; None for half of the disk space that is free or taken by these entries.
        kinds: The kinds of entry that share the budget.
    """
    if limit is not None:
        return limit
    return (shutil.disk_usage(root_folder()).free + sum(map(kind_bytes, kinds))) // 2


def entry_folder(kind: str, name: str) -> Path:
    """Return the folder of an entry, which need not exist."""
    return paths.cache_folder() / kind / name


def entry_lock(entry: Path) -> FileLock:
    """Return the lock that a process holds while it changes an entry."""
    return FileLock(f"{entry}.lock")


@contextmanager
def lease(entry: Path) -> Iterator[None]:
    """Protect an entry from removal during the block, and record that it is used now."""
    folder = _lease_folder(entry)
    folder.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(folder / uuid.uuid4().hex)
    with _lease_gate(entry):
        folder.mkdir(exist_ok=True)
        file_lock.acquire()
    try:
        touch(entry)
        yield
    finally:
        file_lock.release()
        Path(file_lock.lock_file).unlink(missing_ok=True)


def lease_until_exit(entry: Path) -> None:
    """Protect an entry from removal until this process ends, and record that it is used now."""
    with suppress(OSError):  # a cache that cannot be written: nobody can remove entries from it either
        if entry not in _process_leases:
            stack = ExitStack()
            stack.enter_context(lease(entry))
            _process_leases[entry] = stack
    touch(entry)


def write_description(entry: Path, description: str, key: dict[str, Any], producer: str) -> None:
    """Write beside an entry's content what it holds.

    Args:
        entry: Its folder.
        description: A text for `tinybench cache`.
        key: What the content depends on; the entry's name is a hash of it.
        producer: What computed the content, such as the name of an engine.
    """
    values = {"about": description, "made_by": producer, "key": key}
    (entry / _DESCRIPTION).write_text(json.dumps(values, indent=1), "utf-8")


def read_producer(entry: Path) -> str:
    """Return what computed an entry, as given to `write_description`; empty text if it is not known."""
    return str(_read_description(entry).get("made_by", ""))


def touch(entry: Path) -> None:
    """Record that an entry is used now."""
    with suppress(OSError):
        os.utime(entry)


def list_entries() -> list[CacheEntry]:
    """Return all entries, the least recently used first."""
    entries = []
    for kind in KINDS:
        unlabelled = "unfinished" if kind == "features" else "decoded images"
        for folder in _list_folders(kind):
            with suppress(FileNotFoundError):  # another process removed it
                description = str(_read_description(folder).get("about", unlabelled))
                size, last_used = entry_bytes(folder), folder.stat().st_mtime
                entries.append(CacheEntry(kind, folder, size, last_used, _in_use(folder), description))
    return sorted(entries, key=lambda entry: entry.last_used)


def prune(max_bytes: int, kinds: tuple[str, ...] = KINDS) -> list[CacheEntry]:
    """Remove entries of some kinds, the least recently used first, until the remaining ones take at most `max_bytes`.

    Entries that a process uses are not removed.

    Returns:
        The entries that were removed.
    """
    for kind in kinds:
        for remainder in (paths.cache_folder() / kind).glob("*.removed"):  # of a removal that was killed
            shutil.rmtree(remainder, ignore_errors=True)
    entries = [entry for entry in list_entries() if entry.kind in kinds]
    total = sum(entry.bytes for entry in entries)
    removed = []
    for entry in entries:
        if total <= max_bytes:
            break
        if remove(entry.folder):
            total -= entry.bytes
            removed.append(entry)
    return removed


def remove(entry: Path) -> bool:
    """Remove an entry unless a process uses or changes it; return True if it no longer exists."""
    removal_lock = entry_lock(entry)
    try:
        removal_lock.acquire(timeout=0)
    except (Timeout, OSError):  # in use, or in a cache that cannot be written
        return False
    removed = entry.with_name(f"{entry.name}.removed")
    try:
        shutil.rmtree(removed, ignore_errors=True)  # of a removal that was killed
        with _lease_gate(entry):
            if _in_use(entry):
                return False
            with suppress(FileNotFoundError):
                entry.rename(removed)  # in one step, so that nobody opens half of it
            shutil.rmtree(_lease_folder(entry), ignore_errors=True)
        shutil.rmtree(removed, ignore_errors=True)
        return True
    finally:
        removal_lock.release()  # the file stays: another process may be waiting for the lock


def entry_bytes(entry: Path) -> int:
    """Return the bytes of an entry's files; files that are removed meanwhile do not count."""
    total = 0
    for folder, _, names in os.walk(entry):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(folder) / name).stat().st_size
    return total


def kind_bytes(kind: str) -> int:
    """Return the bytes of all entries of a kind."""
    return sum(map(entry_bytes, _list_folders(kind)))


def _list_folders(kind: str) -> list[Path]:
    folder = paths.cache_folder() / kind
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and "." not in path.name]


def _read_description(entry: Path) -> dict[str, Any]:
    try:
        values = json.loads((entry / _DESCRIPTION).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _lease_folder(entry: Path) -> Path:
    return entry.parent.parent / "leases" / entry.parent.name / entry.name


def _lease_gate(entry: Path) -> FileLock:
    """Return the lock for taking a lease and for looking for leases, so that neither misses the other."""
    return FileLock(_lease_folder(entry).parent.parent / "gate.lock")


def _in_use(entry: Path) -> bool:
    if not _lease_folder(entry).is_dir():
        return False
    active = [_is_active(file) for file in _lease_folder(entry).iterdir()]  # a list: all stale leases are removed
    return any(active)


def _is_active(lease_file: Path) -> bool:
    """Return True if a running process holds the lease; remove the file of a process that has died."""
    probe = FileLock(lease_file)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    probe.release()
    lease_file.unlink(missing_ok=True)
    return False
