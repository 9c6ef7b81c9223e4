"""The folder of a run that is not finished: one process at a time, kept until the run is done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from tinybench.core import paths
from tinybench.core.errors import TrackingError

_DONE = "done"


def folder(run_id: str) -> Path:
    """Where a run's checkpoints are, one folder a phase; those of a fold lie in a folder of its own."""
    return paths.state() / "runs" / run_id


def resumable(run_id: str) -> bool:
    """Whether a phase has begun whose work would be lost."""
    return any(place for mark in ("start.keras", _DONE) for place in folder(run_id).rglob(mark))


def clear(phase: Path) -> None:
    """Remove a finished phase's checkpoints; a mark stays, since the run may yet be resumed after it."""
    shutil.rmtree(phase)
    phase.mkdir()
    (phase / _DONE).touch()


@contextmanager
def held(run_id: str) -> Iterator[None]:
    """Keep others from a run; its folder goes at the end, unless it is wanted for a resume.

    Raises:
        TrackingError: another process is working on the run, or there is no place for its checkpoints.
    """
    place = folder(run_id)
    lock = filelock.FileLock(place.with_suffix(".lock"))
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise TrackingError(f"Another process is working on run {run_id}: wait for it or stop it first.") from None
    except OSError as error:
        raise TrackingError(
            f"Cannot write {place}: {error.strerror or error}. Set TINYBENCH_STATE to a folder for checkpoints."
        ) from error
    wanted = True
    try:
        yield
        wanted = False
    finally:
        if not (wanted and resumable(run_id)):
            shutil.rmtree(place)
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
