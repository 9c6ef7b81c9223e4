"""What is printed becomes records, line by line."""

from __future__ import annotations

import logging
from contextlib import closing, redirect_stdout

from tinybench.web.log_lines import LogLines


def test_lines_are_logged_when_they_are_complete(caplog):
    with caplog.at_level(logging.INFO), closing(LogLines(logging.getLogger("here"), logging.INFO)) as lines:
        with redirect_stdout(lines):
            print("one %s", end="")
            assert caplog.messages == []
            print("\n\ntwo\nthree", end="")
        assert caplog.messages == ["one %s", "two"]
    assert caplog.messages == ["one %s", "two", "three"]
