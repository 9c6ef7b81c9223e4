"""Optuna's storage: SQLite on one machine, Postgres on several, with a sign of life from every running trial."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from tinybench.errors import TrackingError
from tinybench.redaction import without_secrets

HEARTBEAT = 5  # seconds
_GRACE = 4 * HEARTBEAT  # of silence until a trial's process counts as dead
_WAIT = 60  # seconds that a write to SQLite waits for another


@contextmanager
def settled() -> Iterator[None]:
    """Without the warnings of what Optuna has called experimental for years, such as the heartbeat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def connect(url: str) -> optuna.storages.RDBStorage:
    """The storage at an address; its tables are made when they are not there.

    Raises:
        TrackingError: it cannot be reached, or is no database of Optuna's.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arguments: dict[str, Any] = {"connect_args": {"timeout": _WAIT}} if url.startswith("sqlite") else {}
    try:
        with settled():
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
        raise TrackingError(f"Cannot use {without_secrets(url)}: {words} Check --storage.") from error
    if url.startswith("sqlite"):
        _one_writer(storage.engine)
    return storage


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
