"""Refuse, before MLflow's server starts, what it could not use: it would tell so in tracebacks, or try for minutes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile

from sqlalchemy.exc import SQLAlchemyError

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import store

_OPTION = "Invalid value for `--backend-store-uri`"


def check_database(uri: str) -> None:
    """Raise if a database server does not answer, or a SQLite file cannot be created or written.

    Raises:
        ConfigError: The folder of a SQLite file is missing or cannot be written to, or the file is something else.
        TrackingError: A database server does not answer.
    """
    try:
        store.ping(uri)
    except (ImportError, SQLAlchemyError) as error:
        raise TrackingError(f"Cannot use {redact(uri)}: {store.describe_error(error)}") from error
    path = store.sqlite_path(uri)
    if path is not None:
        _check_sqlite_file(path.absolute())


def _check_sqlite_file(path: Path) -> None:
    """Raise unless SQLite can write to a file, and to the files that it makes beside it."""
    if not path.parent.is_dir():
        raise ConfigError(f"{_OPTION}: the folder {path.parent} does not exist. Create it.")
    if path.is_dir():
        raise ConfigError(f"{_OPTION}: expected sqlite:///FILE, got the folder {path}.")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"{_OPTION}: cannot write to the folder {path.parent}: {error.strerror}. Start the server in a folder of "
            "yours, or give sqlite:////FOLDER/mlflow.db."
        ) from error
    if path.exists():
        _check_sqlite_content(path)


def _check_sqlite_content(path: Path) -> None:
    try:
        with path.open("r+b"), closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as database:
            database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        return  # it is in use: another server holds it
    except sqlite3.Error as error:
        raise ConfigError(f"{_OPTION}: {path} is no SQLite database. Give another file.") from error
    except OSError as error:
        raise ConfigError(f"{_OPTION}: cannot write to {path}: {error.strerror}.") from error
