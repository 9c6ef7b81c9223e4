"""What tinybench keeps to be faster next time: entries that can be listed, and removed when nobody uses them.

An entry is a folder. Who uses it holds a lease, a locked file: the system lets go of the lock
when the process dies, however it dies, so a lease is never left behind by a crash.
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
_ABOUT = "about.json"

_held_for_good: dict[Path, ExitStack] = {}


@dataclass(frozen=True)
class Entry:
    """A folder of the cache.

    Attributes:
        kind: `features` or `data`.
        folder: Where it is.
        bytes: What it takes on disk.
        used: When it was last used, in seconds since 1970.
        in_use: A process that lives holds a lease.
        about: What it is, in words.
    """

    kind: str
    folder: Path
    bytes: int
    used: float
    in_use: bool
    about: str


def root() -> Path:
    """The folder that holds all entries, made when it is not there.

    Raises:
        FeatureError: it cannot be made.
    """
    place = paths.cache()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeatureError(
            f"Cannot write to {place} ({error.strerror}): set TINYBENCH_CACHE to a folder of yours."
        ) from error
    return place


def budget(given: int | None, kinds: tuple[str, ...] = ("features",)) -> int:
    """Bytes that entries of some kinds may take: as given, else half of what is free or theirs."""
    theirs = sum(total(kind) for kind in kinds)
    return (shutil.disk_usage(root()).free + theirs) // 2 if given is None else given


def folder(kind: str, name: str) -> Path:
    """Where an entry is."""
    return paths.cache() / kind / name


def lock(entry: Path) -> FileLock:
    """What a process holds while it changes an entry."""
    return FileLock(f"{entry}.lock")


@contextmanager
def lease(entry: Path) -> Iterator[None]:
    """Keep an entry from being removed, and note that it is used now."""
    leases = _leases(entry)
    leases.mkdir(parents=True, exist_ok=True)
    held = FileLock(leases / uuid.uuid4().hex)
    with _gate(entry):
        leases.mkdir(exist_ok=True)
        held.acquire()
    try:
        touch(entry)
        yield
    finally:
        held.release()
        Path(held.lock_file).unlink(missing_ok=True)


def hold(entry: Path) -> None:
    """Keep an entry from being removed as long as this process lives, and note that it is used now."""
    with suppress(OSError):  # a cache that is only read, which nobody can remove from either
        if entry not in _held_for_good:
            stack = ExitStack()
            stack.enter_context(lease(entry))
            _held_for_good[entry] = stack
    touch(entry)


def describe(entry: Path, about: str, key: dict[str, Any], made_by: str) -> None:
    """Write beside an entry's content what it is, what decided it and what computed it."""
    (entry / _ABOUT).write_text(json.dumps({"about": about, "made_by": made_by, "key": key}, indent=1), "utf-8")


def made_by(entry: Path) -> str:
    """What computed an entry, as `describe` was told; empty where nothing is known."""
    return str(_about(entry).get("made_by", ""))


def touch(entry: Path) -> None:
    """Note that an entry is used now."""
    with suppress(OSError):
        os.utime(entry)


def entries() -> list[Entry]:
    """Every entry, least recently used first."""
    found = []
    for kind in KINDS:
        for place in _folders(kind):
            with suppress(FileNotFoundError):  # removed meanwhile
                found.append(_entry(kind, place))
    return sorted(found, key=lambda entry: entry.used)


def prune(most: int, kinds: tuple[str, ...] = KINDS) -> list[Entry]:
    """Remove entries of some kinds, least recently used first, until what is left of them takes at most so many bytes.

    What a process uses stays.

    Returns:
        The entries that were removed.
    """
    for kind in kinds:  # what a removal that was killed has left
        for leftover in (paths.cache() / kind).glob("*.removed"):
            shutil.rmtree(leftover, ignore_errors=True)
    known = [entry for entry in entries() if entry.kind in kinds]
    total = sum(entry.bytes for entry in known)
    removed = []
    for entry in known:
        if total <= most:
            break
        if remove(entry.folder):
            total -= entry.bytes
            removed.append(entry)
    return removed


def remove(entry: Path) -> bool:
    """Remove an entry, unless a process uses or changes it; returns whether it is gone."""
    guard = lock(entry)
    try:
        guard.acquire(timeout=0)
    except (Timeout, OSError):  # used, or in a cache that is only read
        return False
    doomed = entry.with_name(f"{entry.name}.removed")
    try:
        shutil.rmtree(doomed, ignore_errors=True)  # of a removal that was killed
        with _gate(entry):
            if _in_use(entry):
                return False
            with suppress(FileNotFoundError):
                entry.rename(doomed)  # at once, so that nobody opens half of it
            shutil.rmtree(_leases(entry), ignore_errors=True)
        shutil.rmtree(doomed, ignore_errors=True)
        return True
    finally:
        guard.release()  # its file stays: another process may be waiting on it


def size(entry: Path) -> int:
    """Bytes of an entry's files, some of which may go meanwhile."""
    found = 0
    for folder, _, names in os.walk(entry):
        for name in names:
            with suppress(FileNotFoundError):
                found += (Path(folder) / name).stat().st_size
    return found


def total(kind: str) -> int:
    """Bytes of all entries of a kind."""
    return sum(size(place) for place in _folders(kind))


def _folders(kind: str) -> list[Path]:
    place = paths.cache() / kind
    if not place.is_dir():
        return []
    return [each for each in sorted(place.iterdir()) if each.is_dir() and "." not in each.name]


def _entry(kind: str, place: Path) -> Entry:
    about = str(_about(place).get("about", "unfinished" if kind == "features" else "decoded images"))
    return Entry(kind, place, size(place), place.stat().st_mtime, _in_use(place), about)


def _about(entry: Path) -> dict[str, Any]:
    try:
        found = json.loads((entry / _ABOUT).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _leases(entry: Path) -> Path:
    return entry.parent.parent / "leases" / entry.parent.name / entry.name


def _gate(entry: Path) -> FileLock:
    """Held for a moment by who takes a lease and by who looks for leases, so that neither misses the other."""
    return FileLock(_leases(entry).parent.parent / "gate.lock")


def _in_use(entry: Path) -> bool:
    if not _leases(entry).is_dir():
        return False
    held = [_held(file) for file in _leases(entry).iterdir()]  # all of them: each that is stale goes
    return any(held)


def _held(file: Path) -> bool:
    """Whether a process lives that holds the lease; one that died left a file that is removed."""
    probe = FileLock(file)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    probe.release()
    file.unlink(missing_ok=True)
    return False
