"""The directory of an unfinished run, with its checkpoints; one process at a time works on a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from tinybench.core import paths
from tinybench.core.errors import TrackingError

_DONE = "done"


def run_directory(run_id: str) -> Path:
    """Return the directory of a run's checkpoints: a folder for each phase, within a folder for each fold."""
    return paths.state_folder() / "runs" / run_id


def can_resume(run_id: str) -> bool:
    """Return whether a phase has begun, so that there is something to resume."""
    return any(path for name in ("start.keras", _DONE) for path in run_directory(run_id).rglob(name))


def clear_phase(phase: Path) -> None:
    """Remove the checkpoints of a finished phase; a marker stays, since the run may be resumed at the next phase."""
    shutil.rmtree(phase)
    phase.mkdir()
    (phase / _DONE).touch()


@contextmanager
def lock_run(run_id: str, shown_id: str | None = None) -> Iterator[None]:
    """Lock a run against other processes; at the end remove its directory, unless a resume needs it.

    Args:
        run_id: The id by which this machine knows the run.
        shown_id: The id by which people know it, if it is another.

    Raises:
        TrackingError: Another process is working on the run, or its directory cannot be written.
    """
    directory = run_directory(run_id)
    lock = filelock.FileLock(directory.with_suffix(".lock"))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise TrackingError(
            f"Another process is working on run {shown_id or run_id}: wait for it or stop it first."
        ) from None
    except OSError as error:
        raise TrackingError(
            f"Cannot write {directory}: {error.strerror or error}. Set TINYBENCH_STATE to a folder for checkpoints."
        ) from error
    failed = True
    try:
        yield
        failed = False
    finally:
        if not (failed and can_resume(run_id)):
            shutil.rmtree(directory)
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
