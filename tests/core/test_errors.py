"""Errors in one line."""

from __future__ import annotations

import errno

import pytest

from tinybench.core.errors import ConfigError, DataError, format_error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("No data. Fetch them."), "No data. Fetch them."),
        (ValueError("first\nsecond"), "ValueError: first"),
        (KeyError(), "KeyError: "),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "The disk is full ([Errno 28] No space left on device): make room, then try again.",
        ),
        (OSError(errno.EACCES, "Permission denied"), "PermissionError: [Errno 13] Permission denied"),
        (
            RuntimeError("(sqlite3.OperationalError) database or disk is full\n[SQL: …]"),
            "The disk is full ((sqlite3.OperationalError) database or disk is full): make room, then try again.",
        ),
    ],
)
def test_in_one_line(error, line):
    assert format_error(error) == line


def test_a_notebook_shows_the_message_instead_of_a_traceback():
    error = ConfigError("Unknown key `x`.")
    error.add_note("Resume it with: tinybench resume 1")
    assert error._render_traceback_() == ["ConfigError: Unknown key `x`.", "Resume it with: tinybench resume 1"]
