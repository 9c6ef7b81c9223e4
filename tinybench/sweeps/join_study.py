"""A process becomes a worker of a study that is there."""

from __future__ import annotations

import os
import platform
import sys
import threading

from tinybench.core.errors import TrackingError
from tinybench.sweeps import optuna_storage, study, study_files
from tinybench.sweeps.samplers import WORKER
from tinybench.sweeps.trial_runs import Tracked
from tinybench.sweeps.worker import Worker
from tinybench.tracking import journal


def join(name: str, storage: str, uri: str | None, *, beside: bool = False) -> int:
    """Serve a study until nothing is left of it; gives how many trials were carried out here.

    A process that a driver started ends with it, after the trial that it is at.

    Args:
        name: Of the study.
        storage: Address of its database.
        uri: Where its trials are tracked.
        beside: Beside workers that the driver knows of.

    Raises:
        ConfigError: it looks for a time, which is measured by one worker.
        TrackingError: there is no such study, or it has not begun.
    """
    journal.limit_retries()
    found = study.find(optuna_storage.connect(storage, there=True), name)
    if beside:
        found.space.check_workers(2)
    parent, experiment = found.parent, found.kept("experiment")
    if parent is None or experiment is None:
        raise TrackingError(f"Study {name!r} has not begun: start it by tinybench sweep --resume {name}.")
    own = f"{platform.node()}-{os.getpid()}.jsonl"
    writer = journal.Journal(journal.connect(uri), study_files.folder(name) / own)
    gone = _orphaned() if WORKER in os.environ else threading.Event()
    return Worker(found, Tracked(writer, experiment, parent), stop=gone.is_set).work()


def _orphaned() -> threading.Event:
    """Set once the driver is gone: standard input is a pipe that it holds open."""
    gone = threading.Event()

    def wait() -> None:
        sys.stdin.buffer.read()
        gone.set()

    threading.Thread(target=wait, daemon=True).start()
    return gone
