"""Log what a program prints, line by line."""

from __future__ import annotations

import io
import logging


class LogLines(io.TextIOBase):
    """A stream for `contextlib.redirect_stdout` whose lines become records of a logger."""

    def __init__(self, logger: logging.Logger, level: int) -> None:
        self._logger, self._level, self._rest = logger, level, ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that are complete, and keep the rest for the next call."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self._logger.log(self._level, "%s", line)
        return len(text)

    def close(self) -> None:
        """Log a last line without an end."""
        if not self.closed and self._rest.strip():
            self.write("\n")
        super().close()
