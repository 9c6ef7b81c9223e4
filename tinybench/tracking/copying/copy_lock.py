"""Let one process at a time copy to a store, wherever it runs.

The lock is a registered model: its name is unique in a store, so that of several processes one creates it. MLflow has
nothing else that can be taken by one process only and given back.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mlflow.exceptions import MlflowException

from tinybench.core.errors import TrackingError
from tinybench.tracking import process_identity, store, tags
from tinybench.tracking.copying.copy_report import CopyCallbacks
from tinybench.tracking.copying.store_side import StoreSide

NAME = "tinybench-copy-lock"
_NOTE = "tinybench copy writes to this store, and deletes this name when it ends."
_TAKEN = "RESOURCE_ALREADY_EXISTS"
_BEAT_SECONDS = 10.0
_SILENT_SECONDS = 60.0  # without a heartbeat, after which a process of another host counts as dead
_POLL_SECONDS = 1.0


class CopyLock:
    """The lock of this process on a target.

    Args:
        side: The target.
    """

    def __init__(self, side: StoreSide) -> None:
        self._client = side.client
        self._side = side
        self._owner = uuid.uuid4().hex
        self._ended = threading.Event()
        self._is_lost = False
        self._beats = 0
        self._thread = threading.Thread(target=self._beat, name="tinybench-copy-lock", daemon=True)

    def acquire(self, callbacks: CopyCallbacks) -> None:
        """Wait until no other living process copies to the store, and take the lock."""
        last_tags: dict[str, str] = {}
        last_change = time.monotonic()
        has_told = False
        while not self._create():
            held_tags = self._read()
            if held_tags != last_tags:
                last_tags, last_change = held_tags, time.monotonic()
            if held_tags and _is_dead(held_tags, time.monotonic() - last_change):
                self._delete()
                continue
            if not has_told:
                callbacks.on_message(f"Another process copies to {store.display(self._side.uri)}: waiting for it.")
                has_told = True
            time.sleep(_POLL_SECONDS)
        self._thread.start()

    def release(self) -> None:
        """Give the lock back, if this process still has it."""
        self._ended.set()
        self._thread.join()
        with suppress(*store.STORE_ERRORS):  # a store that does not answer now: whoever copies next sees that we ended
            if self._read().get(tags.COPY_OWNER) == self._owner:
                self._delete()

    def require(self) -> None:
        """Raise if another process has taken the lock, since this one gave no sign of life, as a machine asleep.

        Raises:
            TrackingError: The lock is lost.
        """
        if self._is_lost:
            raise TrackingError(
                f"Another process copies to {store.display(self._side.uri)} now, since this one did not answer: run "
                "the same command again to go on."
            )

    def _create(self) -> bool:
        """Return whether this process, and no other one, has created the lock."""
        first_tags = {tags.COPY_OWNER: self._owner, tags.PROCESS: process_identity.describe_process()}
        try:
            self._client.create_registered_model(NAME, first_tags, _NOTE)
        except MlflowException as error:
            if error.error_code != _TAKEN:
                raise
            return False
        return True

    def _read(self) -> dict[str, str]:
        """Return the tags of the lock; empty if there is none."""
        lock: Any = self._side.get_registered_model(NAME)
        return {} if lock is None else dict(lock.tags)

    def _delete(self) -> None:
        with suppress(MlflowException):  # another process has deleted it
            self._client.delete_registered_model(NAME)

    def _beat(self) -> None:
        """Show that this process lives, and notice if the lock is another's."""
        while not self._ended.wait(_BEAT_SECONDS):
            with suppress(*store.STORE_ERRORS):
                if self._read().get(tags.COPY_OWNER) != self._owner:
                    self._is_lost = True
                    return
                self._beats += 1
                self._client.set_registered_model_tag(NAME, tags.HEARTBEAT, str(self._beats))


@contextmanager
def locked(side: StoreSide, callbacks: CopyCallbacks) -> Iterator[CopyLock]:
    """Hold the lock of a target while the block runs."""
    lock = CopyLock(side)
    lock.acquire(callbacks)
    try:
        yield lock
    finally:
        lock.release()


def _is_dead(held_tags: dict[str, str], silent_seconds: float) -> bool:
    """Return whether the process that has the lock is gone."""
    process = held_tags.get(tags.PROCESS, "")
    if process and process_identity.is_same_machine(process) and process_identity.is_same_boot(process):
        return not process_identity.is_alive(process)
    return silent_seconds > _SILENT_SECONDS
