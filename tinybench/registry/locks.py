"""Let one process at a time decide about a registered model, by lock files of this machine.

MLflow has no locks, so processes of several machines are not kept apart: promotion checks the champion again just
before it moves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from tinybench.core import paths, waiting
from tinybench.core.errors import TrackingError

if TYPE_CHECKING:
    from tinybench.tracking.model_versions import RegisteredModel


@contextmanager
def lock_model(model: RegisteredModel) -> Iterator[None]:
    """Hold the lock of a registered model during the block.

    Raises:
        TrackingError: Another process holds it.
    """
    activity = f"decides about {model.name} at this moment: look at tinybench history {model.name}"
    with lock(model.client.tracking_uri, model.name, 0, activity):
        yield


@contextmanager
def lock(uri: str, resource: str, timeout: float, activity: str) -> Iterator[None]:
    """Hold a lock of this machine during the block.

    Args:
        uri: The store's address.
        resource: What is locked in the store.
        timeout: Seconds to wait for another process that holds the lock.
        activity: What the other process does in that case, for people.

    Raises:
        TrackingError: Another process holds the lock for longer, or the lock file cannot be made.
    """
    folder = paths.state_folder() / "registry"
    key = sha256(f"{_normalise_uri(uri)} {resource}".encode()).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file_lock = filelock.FileLock(folder / f"{key}.lock", timeout=timeout)
        with waiting.tell_if_slow("waiting for another process that works on the registry"):
            file_lock.acquire()
    except filelock.Timeout:
        raise TrackingError(f"Another process {activity}, then try again.") from None
    except OSError as error:
        raise TrackingError(f"Cannot lock anything in {folder}: {error.strerror}. Set TINYBENCH_STATE.") from error
    try:
        yield
    finally:
        file_lock.release()


def _normalise_uri(uri: str) -> str:
    """Return an address of a store that is the same however its path is written."""
    kind, _, path = uri.partition(":///")
    return str(Path(path).resolve()) if kind == "sqlite" else uri
