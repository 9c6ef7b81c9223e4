"""Make this process a worker of a study."""

from __future__ import annotations

import os
import threading
from contextlib import closing

from tinybench.core.errors import TrackingError
from tinybench.hardware import child_process
from tinybench.sweeps import optuna_storage
from tinybench.sweeps.samplers import WORKER_VARIABLE
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_runs import TrialRuns
from tinybench.sweeps.worker import Worker
from tinybench.tracking.tracker import Tracker


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
    study = Study.load(optuna_storage.connect(storage, must_exist=True), name)
    if additional:
        study.space.check_workers(2)
    if study.parent_run is None:
        raise TrackingError(f"Study {name!r} has not begun: start it by tinybench sweep --resume {name}.")
    driver_ended = _watch_driver() if WORKER_VARIABLE in os.environ else threading.Event()
    with closing(Tracker.at(uri, may_be_away=True)) as tracker:
        return Worker(study, TrialRuns(tracker.writer, study.parent_run), should_stop=driver_ended.is_set).run()


def _watch_driver() -> threading.Event:
    """Return an event that is set when the driver ends."""
    ended = threading.Event()
    child_process.watch_parent(ended.set)
    return ended
