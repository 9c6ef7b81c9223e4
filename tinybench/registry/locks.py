"""One process at a time writes about a registered model: locks of this machine. MLflow has none for several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from tinybench.core import paths
from tinybench.core.errors import TrackingError

if TYPE_CHECKING:
    from tinybench.tracking.model_versions import RegisteredModel


@contextmanager
def lock_model(registry: RegisteredModel) -> Iterator[None]:
    """Decide about a name alone, on this machine.

    Raises:
        TrackingError: another process is at it.
    """
    what = f"decides about {registry.name} at this moment: look at tinybench history {registry.name}"
    with lock(registry.client.tracking_uri, registry.name, 0, what):
        yield


@contextmanager
def lock(uri: str, what: str, wait: float, words: str) -> Iterator[None]:
    """Hold a lock of this machine.

    Args:
        uri: The store's address.
        what: Is locked in it.
        wait: Seconds until another process has to be done.
        words: What it does, for people.

    Raises:
        TrackingError: another process holds it for longer than `wait` seconds, or there can be none.
    """
    place = paths.state() / "registry"
    key = sha256(f"{_normalise_uri(uri)} {what}".encode()).hexdigest()[:16]
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place / f"{key}.lock", timeout=wait)
        lock.acquire()
    except filelock.Timeout:
        raise TrackingError(f"Another process {words}, then try again.") from None
    except OSError as error:
        raise TrackingError(f"Cannot lock anything in {place}: {error.strerror}. Set TINYBENCH_STATE.") from error
    try:
        yield
    finally:
        lock.release()


def _normalise_uri(uri: str) -> str:
    """A store's address, the same for all who use it on this machine: paths may be relative."""
    kind, _, path = uri.partition(":///")
    return str(Path(path).resolve()) if kind == "sqlite" else uri
