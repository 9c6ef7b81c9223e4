"""Wait for a SQLite file that another process has locked, and say so.

SQLite itself waits for some seconds, in which Ctrl-C does nothing, and says nothing. A lock may be held for longer: by
a copy of the file, by a database browser with changes that are not written, or by many processes that log at once.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Engine

from tinybench.core import waiting

LIMIT_SECONDS = 300.0
"""For which the main thread waits; the threads that send wait as long as before, and then try again later."""
_ATTEMPT_SECONDS = 0.5  # after which Python gets a Ctrl-C
_DEFAULT_SECONDS = 5.0  # of Python's sqlite3

_BUSY_TIMEOUT = re.compile(r"\s*PRAGMA busy_timeout\s*=\s*(\d+)", re.IGNORECASE)

Outcome = TypeVar("Outcome")

_watched: set[str] = set()


def watch(file: Path | None) -> None:
    """Have the connections to a file that SQLAlchemy opens from now on wait while it is locked; None for no file."""
    if file is not None:
        if not event.contains(Engine, "do_connect", _connect):
            event.listen(Engine, "do_connect", _connect)
        _watched.add(str(file.absolute()))


class _WaitingCursor(sqlite3.Cursor):
    def execute(self, statement: str, *arguments: Any) -> Self:
        if (asked := _BUSY_TIMEOUT.match(statement)) is not None:  # of MLflow: 20 s without a Ctrl-C
            assert isinstance(self.connection, _WaitingConnection)
            self.connection.seconds = int(asked[1]) / 1000
            statement = f"PRAGMA busy_timeout = {_ATTEMPT_SECONDS * 1000:.0f}"
        return _wait_while_locked(self.connection, lambda: super(_WaitingCursor, self).execute(statement, *arguments))

    def executemany(self, *arguments: Any) -> Self:
        return _wait_while_locked(self.connection, lambda: super(_WaitingCursor, self).executemany(*arguments))


class _WaitingConnection(sqlite3.Connection):
    file = ""
    seconds = _DEFAULT_SECONDS  # for which threads besides the main one wait

    def cursor(self, factory: Any = _WaitingCursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        _wait_while_locked(self, super().commit)


def _connect(dialect: Any, _: Any, arguments: list[Any], options: dict[str, Any]) -> sqlite3.Connection | None:
    """Open a connection that waits, if it is one to a watched file; None has SQLAlchemy open it."""
    if dialect.name != "sqlite" or not arguments or str(Path(arguments[0]).absolute()) not in _watched:
        return None
    seconds = float(options.get("timeout", _DEFAULT_SECONDS))
    changed = options | {"timeout": _ATTEMPT_SECONDS, "factory": _WaitingConnection}
    connection: _WaitingConnection = sqlite3.connect(*arguments, **changed)
    connection.file, connection.seconds = str(arguments[0]), seconds
    return connection


def _wait_while_locked(connection: sqlite3.Connection, call: Callable[[], Outcome]) -> Outcome:
    """Call a function, again and again while another process has locked the file: then it has changed nothing."""
    assert isinstance(connection, _WaitingConnection)
    is_main = threading.current_thread() is threading.main_thread()
    deadline = time.monotonic() + (LIMIT_SECONDS if is_main else connection.seconds)
    with ExitStack() as told:
        is_told = False
        while True:
            try:
                return call()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            if not is_told:
                is_told = True
                what = f"waiting for {connection.file}, which another process has locked"
                told.enter_context(waiting.tell_if_slow(what))
