"""Say what a process waits for, if that takes longer than two seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SECONDS = 2.0

Listener = Callable[[str], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def tell_if_slow(what: str) -> Iterator[None]:
    """Pass on a line that says what is done, unless the block ends within `SECONDS`.

    Args:
        what: Such as `scoring 1,000 test images`.
    """
    listener = _listener.get()
    if listener is None:
        yield
        return
    timer = threading.Timer(SECONDS, listener, [f"{what} …"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def told_to(listener: Listener) -> Iterator[None]:
    """Have lines about waiting passed to a function during the block, in another thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell_on_stderr() -> None:
    """Have lines about waiting written to the standard error of this process."""
    _listener.set(lambda line: print(line, file=sys.stderr, flush=True))
