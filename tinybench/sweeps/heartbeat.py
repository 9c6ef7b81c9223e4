"""Repeat a sign of life while a process is busy with something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# Optuna has such a thread too, but it is private and ends at the first error of the storage.


@contextmanager
def repeat(beat: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `beat` every so many seconds in a thread while the block runs; the first call is the caller's.

    Args:
        beat: Its errors are ignored: a storage that does not answer now may answer the next time.
        seconds: The interval.
    """
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(seconds):
            with suppress(Exception):
                beat()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
