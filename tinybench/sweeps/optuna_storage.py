"""Optuna's storage: SQLite on one machine, Postgres on several, with a sign of life from every running trial."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import optuna
from optuna.exceptions import ExperimentalWarning
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from tinybench.core.errors import TrackingError
from tinybench.core.redaction import without_secrets

HEARTBEAT = 5  # seconds
_GRACE = 4 * HEARTBEAT  # of silence until a trial's process counts as dead
_WAIT = 60  # seconds that a write to SQLite waits for another


@contextmanager
def settled() -> Iterator[None]:
    """Without the warnings of what Optuna has called experimental for years, such as the heartbeat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def connect(url: str, *, there: bool = False) -> optuna.storages.RDBStorage:
    """The storage at an address; its tables are made when they are not there.

    Args:
        url: As SQLAlchemy has it.
        there: A file that is not there is not made.

    Raises:
        TrackingError: it cannot be reached, or is no database of Optuna's.
    """
    file = _file(url)
    if there and file is not None and not file.exists():
        raise TrackingError(f"There is no database {file}: check --storage, or begin a study by tinybench sweep SPACE.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arguments: dict[str, Any] = {"connect_args": {"timeout": _WAIT}} if url.startswith("sqlite") else {}
    try:
        with settled(), _one_maker(file):
            storage = optuna.storages.RDBStorage(
                _with_driver(url), arguments, heartbeat_interval=HEARTBEAT, grace_period=_GRACE
            )
    except ImportError as error:
        raise TrackingError(
            f"Cannot use {without_secrets(url)}: {str(error).splitlines()[0]} "
            "For Postgres: pip install 'tinybench[postgres]'."
        ) from error
    except (SQLAlchemyError, ValueError, RuntimeError) as error:
        words = without_secrets(str(error).strip().splitlines()[0])
        raise TrackingError(f"Cannot use {without_secrets(url)}: {words.rstrip('.')}. Check --storage.") from error
    if url.startswith("sqlite"):
        _one_writer(storage.engine)
    return storage


def _file(url: str) -> Path | None:
    """The file of an SQLite database."""
    made = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+).*", url)
    return Path(made[1]) if made and made[1] != ":memory:" else None


@contextmanager
def _one_maker(file: Path | None) -> Iterator[None]:
    """Let one process at a time make the tables of a file: a second one in the same moment would fail."""
    if file is None or not file.parent.is_dir():
        yield
        return
    with filelock.FileLock(file.with_name(f".{file.name}.lock"), timeout=_WAIT):
        yield


def _with_driver(url: str) -> str:
    """Postgres by psycopg, the driver that is kept."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return f"postgresql+psycopg://{url.removeprefix(scheme)}"
    return url


def _one_writer(engine: Any) -> None:
    """Let a transaction of SQLite lock at its beginning.

    Otherwise two workers read that a trial waits before either of them writes that it took it.
    """

    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # its own BEGIN comes with the first write, which is too late

    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    engine.dispose()  # connections of before
