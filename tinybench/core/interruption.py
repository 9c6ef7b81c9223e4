"""Find the interruption behind an error that a library has made of it.

Python raises an interruption wherever it is when Ctrl-C or SIGTERM arrives. Inside TensorFlow's C code some of a
thousand are lost: most often a SystemError comes out instead, by which a run that was interrupted would be FAILED and a
study would go on with its next trial, and rarely nothing, so that the training goes on.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from tinybench.core.errors import Interrupted

_received: list[KeyboardInterrupt] = []


def handle_signals() -> None:
    """Have SIGTERM raise Interrupted and Ctrl-C raise KeyboardInterrupt, and remember it.

    Ctrl-C stays ignored where it is, as in a process that a shell has started in the background.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def find_cause(error: BaseException) -> BaseException:
    """Return the last interruption if there was one before this error, else the error itself."""
    return _received[-1] if _received and isinstance(error, Exception) else error


def raise_lost() -> None:
    """Raise the last interruption again if there was one: who comes here goes on as if there had been none."""
    if _received:
        raise _received[-1]


@contextmanager
def restored() -> Iterator[None]:
    """Raise the interruption in place of an error that follows it in this block."""
    try:
        yield
    except Exception as error:
        cause = find_cause(error)
        if cause is error:
            raise
        raise cause from error


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise _remember(Interrupted("Terminated by SIGTERM."))


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise _remember(KeyboardInterrupt())


def _remember(interruption: KeyboardInterrupt) -> KeyboardInterrupt:
    _received.append(interruption)
    return interruption
