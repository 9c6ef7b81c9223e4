"""Make this process a worker of a study."""

from __future__ import annotations

import os
import platform
import sys
import threading

from tinybench.core.errors import TrackingError
from tinybench.sweeps import optuna_storage, study_files
from tinybench.sweeps.samplers import WORKER_VARIABLE
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_runs import TrialRuns
from tinybench.sweeps.worker import Worker
from tinybench.tracking import journal


def join(name: str, storage: str, uri: str | None, *, additional: bool = False) -> int:
    """Train trials of a study until none is left, and return how many were trained here.

    A process that a driver started takes no more trials once the driver is gone.

    Args:
        name: Name of the study.
        storage: Address of its database.
        uri: Address of the tracking store.
        additional: Whether the driver has workers of its own beside this one.

    Raises:
        ConfigError: The study measures time, which allows only one worker.
        TrackingError: There is no such study, or no driver has begun it.
    """
    journal.limit_retries()
    study = Study.load(optuna_storage.connect(storage, must_exist=True), name)
    if additional:
        study.space.check_workers(2)
    parent, experiment = study.parent_run, study.user_attrs.get("experiment")
    if parent is None or experiment is None:
        raise TrackingError(f"Study {name!r} has not begun: start it by tinybench sweep --resume {name}.")
    spool = study_files.study_folder(name) / f"{platform.node()}-{os.getpid()}.jsonl"
    writer = journal.Journal(journal.connect(uri), spool)
    driver_ended = _watch_driver() if WORKER_VARIABLE in os.environ else threading.Event()
    return Worker(study, TrialRuns(writer, experiment, parent), should_stop=driver_ended.is_set).run()


def _watch_driver() -> threading.Event:
    """Return an event that is set when the driver ends: standard input is a pipe that the driver holds open."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended
