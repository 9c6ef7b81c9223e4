"""Connect to Optuna's storage: SQLite on one machine, Postgres on several; running trials record heartbeats in it."""

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

from tinybench.core import waiting
from tinybench.core.errors import TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import locked_database

HEARTBEAT_SECONDS = 5
_GRACE_SECONDS = 4 * HEARTBEAT_SECONDS  # without a heartbeat, after which a trial's process counts as dead
_LOCK_SECONDS = 60  # for which a write to SQLite waits for another one


@contextmanager
def ignore_experimental_warnings() -> Iterator[None]:
    """Ignore the warnings about what Optuna has called experimental for years, such as the heartbeat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def connect(url: str, *, must_exist: bool = False) -> optuna.storages.RDBStorage:
    """Return the storage at an address; its tables are created if they are missing.

    Args:
        url: Address as SQLAlchemy expects it.
        must_exist: Whether to raise, instead of creating the file, if an SQLite file is missing.

    Raises:
        TrackingError: It cannot be reached, or is no database of Optuna's.
    """
    file = _find_sqlite_file(url)
    if must_exist and file is not None and not file.exists():
        raise TrackingError(f"There is no database {file}: check --storage, or begin a study by tinybench sweep SPACE.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    locked_database.watch(file)
    arguments: dict[str, Any] = {"connect_args": {"timeout": _LOCK_SECONDS}} if url.startswith("sqlite") else {}
    try:
        with ignore_experimental_warnings(), waiting.tell_if_slow(f"waiting for {redact(url)}"), _lock_file(file):
            storage = optuna.storages.RDBStorage(
                _add_driver(url), arguments, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=_GRACE_SECONDS
            )
    except ImportError as error:
        raise TrackingError(
            f"Cannot use {redact(url)}: {str(error).splitlines()[0]} For Postgres: pip install 'tinybench[postgres]'."
        ) from error
    except (SQLAlchemyError, ValueError, RuntimeError) as error:
        reason = redact(str(error).strip().splitlines()[0])
        raise TrackingError(f"Cannot use {redact(url)}: {reason.rstrip('.')}. Check --storage.") from error
    if url.startswith("sqlite"):
        _lock_at_begin(storage.engine)
    return storage


def connect_existing(url: str) -> optuna.storages.RDBStorage | None:
    """Return the storage at an address; None for an SQLite file that does not exist, which is not created.

    Raises:
        TrackingError: It cannot be reached, or is no database of Optuna's.
    """
    file = _find_sqlite_file(url)
    return None if file is not None and not file.exists() else connect(url)


def list_studies(storage: optuna.storages.RDBStorage) -> list[str]:
    """Return the names of the studies in a storage."""
    return optuna.get_all_study_names(storage)


def _find_sqlite_file(url: str) -> Path | None:
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+).*", url)
    return Path(match[1]) if match and match[1] != ":memory:" else None


@contextmanager
def _lock_file(file: Path | None) -> Iterator[None]:
    """Let one process at a time create the tables of a file: a second process at the same moment would fail."""
    if file is None or not file.parent.is_dir():
        yield
        return
    with filelock.FileLock(file.with_name(f".{file.name}.lock"), timeout=_LOCK_SECONDS):
        yield


def _add_driver(url: str) -> str:
    """Return the address of a Postgres database with psycopg as its driver, and other addresses unchanged."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return f"postgresql+psycopg://{url.removeprefix(scheme)}"
    return url


def _lock_at_begin(engine: Any) -> None:
    """Let a transaction of SQLite take its lock when it begins.

    Otherwise two workers read that a trial waits before either of them writes that it took the trial.
    """

    def on_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # sqlite3's own BEGIN comes with the first write, which is too late

    def on_begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    engine.dispose()  # closes connections that were opened without these listeners
