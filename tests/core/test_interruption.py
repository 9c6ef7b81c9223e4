"""An interruption is known again, whatever a library has made of it."""

import os
import signal
from contextlib import suppress

import pytest

from tinybench.core import interruption
from tinybench.core.errors import Interrupted


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """Handle signals for one test; those of pytest are put back."""
    monkeypatch.setattr(interruption, "_received", [])
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interruption.handle_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def drop(number):
    with suppress(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def lose(number):
    """Raise another error where a signal arrives, as a library does, without a trace of the first one."""
    drop(number)
    raise SystemError("Objects/listobject.c:338: bad argument to internal function")


def test_an_error_of_the_block_stays_what_it_is_without_a_signal():
    with pytest.raises(ValueError, match="no number") as caught, interruption.restored():
        raise ValueError("no number")
    assert interruption.find_cause(caught.value) is caught.value


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [(signal.SIGTERM, Interrupted, "Terminated by SIGTERM."), (signal.SIGINT, KeyboardInterrupt, "")],
)
def test_a_lost_interruption_is_raised_again(number, kind, message):
    with pytest.raises(KeyboardInterrupt) as caught, interruption.restored():
        lose(number)
    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert isinstance(caught.value.__cause__, SystemError)


def test_an_interruption_that_was_dropped_is_raised_where_it_is_asked_for():
    interruption.raise_lost()
    drop(signal.SIGTERM)
    with pytest.raises(Interrupted, match="Terminated by SIGTERM"):
        interruption.raise_lost()


def test_an_interruption_is_not_replaced():
    with pytest.raises(KeyboardInterrupt) as caught, interruption.restored():
        os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.find_cause(caught.value) is caught.value
    assert caught.value.__cause__ is None


def test_ctrl_c_that_the_shell_ignores_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interruption.handle_signals()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
