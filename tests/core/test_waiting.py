"""What takes longer than two seconds is told, and what does not is not."""

from __future__ import annotations

import threading
import time

import pytest

from tinybench.core import waiting


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(waiting, "SECONDS", 0.05)


def test_it_is_told_while_it_is_waited_for(soon):
    lines: list[str] = []
    told = threading.Event()

    def listen(line: str) -> None:
        lines.append(line)
        told.set()

    with waiting.told_to(listen), waiting.tell_if_slow("counting sheep"):
        assert told.wait(5)
        assert lines == ["counting sheep …"]
    time.sleep(0.1)
    assert lines == ["counting sheep …"]


def test_what_is_quick_is_not_told(soon):
    lines: list[str] = []
    with waiting.told_to(lines.append):
        with waiting.tell_if_slow("a moment"):
            pass
        with pytest.raises(KeyError), waiting.tell_if_slow("an error"):
            raise KeyError
        time.sleep(0.2)
    assert lines == []


def test_the_innermost_listener_is_told_and_without_one_nobody(soon):
    outer: list[str] = []
    inner: list[str] = []
    with waiting.tell_if_slow("alone"):
        time.sleep(0.2)
    with waiting.told_to(outer.append):
        with waiting.told_to(inner.append), waiting.tell_if_slow("inside"):
            time.sleep(0.2)
        with waiting.tell_if_slow("outside"):
            time.sleep(0.2)
    assert (outer, inner) == (["outside …"], ["inside …"])


def test_two_seconds_is_the_limit():
    assert waiting.SECONDS == 2
