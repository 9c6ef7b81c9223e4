"""Refuse, before MLflow's server starts, what it could not use: it would tell so in tracebacks, or try for minutes."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.service.artifact_check import check_artifacts, check_folder, try_to_write
from tinybench.service.settings import ServerSettings
from tinybench.tracking import store

_OPTION = "Invalid value for `--backend-store-uri`"
_PACKAGES = {"MySQLdb": "mysqlclient", "psycopg": "'tinybench[server]'"}  # what installs a module, if named otherwise


def check(settings: ServerSettings) -> list[str]:
    """Try everything that the server needs, and return what the person who starts it should know.

    Raises:
        ConfigError: The port cannot be listened on, the artifacts or counters cannot be written, or the database of a
            SQLite file.
        TrackingError: The database server does not answer.
    """
    _check_port(settings)
    check_database(settings.backend_store_uri)
    if settings.metrics_folder is not None:
        check_folder("--metrics-folder", settings.metrics_folder)
    return check_artifacts(settings.artifacts_destination)


def _check_port(settings: ServerSettings) -> None:
    """Raise if the port cannot be listened on: uvicorn would say so in a traceback."""
    try:
        family, *_, address = socket.getaddrinfo(settings.host.strip("[]"), settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise ConfigError(
            f"Invalid value for `--port`: cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Give another --port or --host."
        ) from error


def check_database(uri: str) -> None:
    """Raise if a database server does not answer, or a SQLite file cannot be created or written.

    Raises:
        ConfigError: The folder of a SQLite file is missing or cannot be written to, the file is something else, or the
            driver of the database is missing.
        TrackingError: A database server does not answer.
    """
    try:
        store.ping(uri)
    except ModuleNotFoundError as error:
        package = _PACKAGES.get(str(error.name), str(error.name))
        raise ConfigError(
            f"{_OPTION}: {redact(uri)} needs a package that is missing: install it by pip install {package}."
        ) from error
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
        try_to_write(path.parent)
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
