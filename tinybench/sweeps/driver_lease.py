"""The lease by which one process at a time is the driver of a study."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from optuna.exceptions import StorageInternalError

from tinybench.core.errors import TrackingError
from tinybench.sweeps import heartbeat, optuna_storage
from tinybench.sweeps.deadline import Deadline
from tinybench.sweeps.study import Study

_DRIVER = "driver"
_GRACE_SECONDS = 20.0  # without a renewal, after which a lease that another machine holds has expired


class DriverLease:
    """The right to be the driver of a study, stored in the study and held by at most one process.

    A lease expires when the process that holds it is gone: on the same machine the process is looked up, on others the
    lease has to be renewed. With the lease, the driver stores the seconds that are left of the time budget, so that
    the next driver has them even if this one is killed.

    Args:
        study: The study.
        owner: Who acquires the lease; this process when None.
    """

    def __init__(self, study: Study, owner: str | None = None) -> None:
        self.study = study
        self.owner = owner or f"{platform.node()}, process {os.getpid()}"
        self._deadline = Deadline(study)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lease while the block runs; a thread renews it, also while the block is busy.

        Raises:
            TrackingError: Another process holds it.
        """
        self.acquire()
        try:
            with heartbeat.repeat(self.acquire, optuna_storage.HEARTBEAT_SECONDS):
                yield
        finally:
            with suppress(StorageInternalError):  # the error that ended the block matters more
                self.release()

    def acquire(self) -> None:
        """Acquire the lease, or renew it.

        Raises:
            TrackingError: Another process holds it.
        """
        holder = self._holder()
        if holder is not None and holder["who"] != self.owner:
            if not _has_expired(holder):
                raise TrackingError(
                    f"Another process runs study {self.study.name!r} ({holder['who']}): join it by "
                    f"tinybench sweep-worker {self.study.name}, or wait until it has ended."
                )
            self._deadline.store_seconds_left(holder["left"])
        process = {"host": platform.node(), "process": os.getpid(), "left": self._deadline.seconds_left()}
        self.study.set_user_attr(_DRIVER, {"who": self.owner, "at": time.time()} | process)

    def release(self) -> None:
        """Give the lease back, unless another process holds it."""
        holder = self._holder()
        if holder is not None and holder["who"] == self.owner:
            self._deadline.store_seconds_left(self._deadline.seconds_left())
            self.study.set_user_attr(_DRIVER, None)

    def is_free(self) -> bool:
        """Return whether no process holds the lease, or the process that held it is gone."""
        holder = self._holder()
        return holder is None or _has_expired(holder)

    def _holder(self) -> dict[str, Any] | None:
        return self.study.user_attrs.get(_DRIVER)


def _has_expired(holder: Mapping[str, Any]) -> bool:
    if holder["host"] == platform.node():
        return not psutil.pid_exists(holder["process"])
    return bool(time.time() - holder["at"] > _GRACE_SECONDS)
