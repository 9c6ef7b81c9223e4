"""Find and remove what tinybench keeps on this machine and nobody needs any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import filelock

from tinybench.core import cache, paths
from tinybench.core.errors import TrackingError
from tinybench.tracking import store
from tinybench.tracking.journal.journal import find_journals
from tinybench.tracking.tracker import Tracker

_SECONDS_A_DAY = 86400


@dataclass(frozen=True)
class Leftover:
    """A folder that nobody needs any more.

    Attributes:
        kind: `checkpoints`, `journal`, `features` or `data`.
        path: The folder.
        bytes: Its size.
        reason: Why it is not needed.
    """

    kind: str
    path: Path
    bytes: int
    reason: str


def clean(uri: str | None = None, *, days: float = 30, dry_run: bool = False) -> list[Leftover]:
    """Remove checkpoints of finished, deleted and forgotten runs, journals that are sent, and old cache entries.

    What a process uses stays, and so does everything that is logged and not sent yet.

    Args:
        uri: The tracking store of the runs; MLflow's default if None.
        days: How long a run was not worked on, and an entry of the cache was not used, to count as forgotten.
        dry_run: Whether to remove nothing.

    Returns:
        What was removed, or would be.

    Raises:
        TrackingError: The store is a SQLite file that is not there.
    """
    if uri is not None:
        store.require_exists(uri)
    found = [*_find_checkpoints(uri, days), *_find_journals(), *_find_cache_entries(days)]
    return found if dry_run else [leftover for leftover in found if _remove(leftover)]


def _find_checkpoints(uri: str | None, days: float) -> Iterator[Leftover]:
    root = paths.state_folder() / "runs"
    folders = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if not folders:
        return
    tracker = _connect(uri)
    unsent = {
        str(entry["run"]) for journal in find_journals() if not journal.is_settled() for entry in journal.read()[0]
    }
    for folder in folders:
        if _is_locked(folder):
            continue
        reason = _why_done(tracker, folder.name) or _why_forgotten(_last_change(folder), days, "worked on")
        if reason and folder.name not in unsent:
            yield Leftover("checkpoints", folder, cache.entry_bytes(folder), reason)


def _connect(uri: str | None) -> Tracker | None:
    """Return the store of the runs; None if it does not answer, so that only their age says that they are done."""
    try:
        return Tracker.at(uri)
    except TrackingError:
        return None


def _why_done(tracker: Tracker | None, run_id: str) -> str:
    """Return why a run will not be resumed; empty if it may be, or if this store does not have it."""
    if tracker is None:
        return ""
    try:
        info = tracker.get_run(run_id).info
    except TrackingError:
        return ""
    if info.lifecycle_stage != "active":
        return "its run is deleted"
    return "its run is finished" if info.status == "FINISHED" else ""


def _why_forgotten(changed: float, days: float, what: str) -> str:
    age = (time.time() - changed) / _SECONDS_A_DAY
    return f"not {what} for {age:.0f} days" if age >= days else ""


def _find_journals() -> Iterator[Leftover]:
    """Yield the journals of processes that have ended whose entries the stores have taken, all of them."""
    for journal in find_journals():
        if journal.is_settled() and not journal.sent.refused and not journal.is_written():
            yield Leftover("journal", journal.folder, cache.entry_bytes(journal.folder), "everything in it is sent")


def _find_cache_entries(days: float) -> Iterator[Leftover]:
    for entry in cache.list_entries():
        reason = _why_forgotten(entry.last_used, days, "used")
        if reason and not entry.in_use:
            yield Leftover(entry.kind, entry.folder, entry.bytes, reason)


def _last_change(folder: Path) -> float:
    """Return when something in a folder was last written, in seconds since 1970."""
    times = []
    for path in [folder, *folder.rglob("*")]:
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times, default=time.time())


def _is_locked(folder: Path) -> bool:
    """Return whether a process works on the run of a folder."""
    lock = filelock.FileLock(folder.with_suffix(".lock"))
    try:
        with lock.acquire(timeout=0):
            return False
    except (filelock.Timeout, OSError):
        return True


def _remove(leftover: Leftover) -> bool:
    """Remove a folder unless a process has begun to use it; return whether it is gone."""
    if leftover.kind in cache.KINDS:
        return cache.remove(leftover.path)
    if leftover.kind == "journal":
        shutil.rmtree(leftover.path, ignore_errors=True)
        return not leftover.path.exists()
    lock = filelock.FileLock(leftover.path.with_suffix(".lock"))
    try:
        with lock.acquire(timeout=0):
            shutil.rmtree(leftover.path, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)
    except (filelock.Timeout, OSError):
        return False
    return not leftover.path.exists()
