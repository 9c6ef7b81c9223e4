"""A bar on a terminal, nothing elsewhere."""

import io
import sys

import pytest

from tinybench.core.progress_bar import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("unit", ["bytes", "images"])
@pytest.mark.parametrize("total", [100, None])
def test_bar_on_a_terminal(monkeypatch, unit, total):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("Fetching", total, unit) as advance:
        advance(40)
    assert "Fetching" in sys.stderr.getvalue()


def test_silence_elsewhere(capfd):
    with progress_bar("Fetching", 100, "bytes") as advance:
        advance(40)
    assert capfd.readouterr() == ("", "")
