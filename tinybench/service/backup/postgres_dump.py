"""Dump and restore a Postgres database by its own programs, `pg_dump` and `pg_restore`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import store

_CONNECT_SECONDS = "15"


@contextmanager
def snapshot(uri: str) -> Iterator[tuple[sqlalchemy.Connection, str]]:
    """Yield a transaction that sees one state of the database, and the name by which `pg_dump` sees the same.

    So the digests are those of the dump, and not of a database that has moved on.

    Raises:
        TrackingError: The database does not answer.
    """
    with _connect(uri, "REPEATABLE READ") as connection:
        name = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        yield connection, str(name)


@contextmanager
def transaction(uri: str) -> Iterator[sqlalchemy.Connection]:
    """Yield a transaction that is committed when the block ends without an error."""
    with _connect(uri, "READ COMMITTED") as connection:
        yield connection


def dump(uri: str, snapshot_name: str, folder: Path) -> Path:
    """Dump a database in Postgres's custom format.

    Args:
        uri: Its address.
        snapshot_name: The state to dump.
        folder: Receives the file.

    Raises:
        TrackingError: `pg_dump` is not installed or fails.
    """
    file = folder / "runs.dump"
    _run("pg_dump", uri, ["--format=custom", f"--snapshot={snapshot_name}", f"--file={file}"])
    return file


def load(file: Path, uri: str) -> None:
    """Restore a dump into an empty database: all of it or nothing.

    Raises:
        TrackingError: `pg_restore` is not installed or fails.
    """
    options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(file)]
    _run("pg_restore", uri, options)


def require_empty(uri: str) -> None:
    """Raise if a database has tables.

    Raises:
        ConfigError: It has.
        TrackingError: It does not answer.
    """
    with transaction(uri) as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
    if tables:
        raise ConfigError(
            f"Invalid value for `--backend-store-uri`: expected an empty database, got {redact(uri)} with "
            f"{len(tables)} tables. A restore overwrites nothing: create a new database (createdb)."
        )


def clear(uri: str) -> None:
    """Remove all tables of a database that was empty before it was restored to."""
    with transaction(uri) as connection:
        quote = connection.dialect.identifier_preparer.quote
        for table in sqlalchemy.inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quote(table)} CASCADE")


def require_programs(*names: str) -> None:
    """Raise unless programs of Postgres are installed.

    Raises:
        TrackingError: One is missing.
    """
    for name in names:
        if shutil.which(name) is None:
            raise TrackingError(
                f"The program {name} is missing: install Postgres's client programs (on Debian: postgresql-client), of "
                "the server's version or a newer one."
            )


@contextmanager
def _connect(uri: str, isolation_level: str) -> Iterator[sqlalchemy.Connection]:
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, isolation_level=isolation_level)
        with engine.begin() as connection:
            yield connection
    except ImportError as error:
        raise TrackingError(f"Cannot use {redact(uri)}: {error}. pip install 'tinybench[server]'.") from error
    except SQLAlchemyError as error:
        raise TrackingError(f"Cannot use {redact(uri)}: {store.describe_error(error)}") from error


def _run(program: str, uri: str, options: list[str]) -> None:
    require_programs(program)
    address, environment = _split(uri)
    command = [program, f"--dbname={address}", "--no-password", *options]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if process.returncode:
        lines = [line for line in process.stderr.splitlines() if "error:" in line or "detail:" in line]
        reason = " ".join(lines or process.stderr.splitlines()[-1:])
        raise TrackingError(f"Cannot use {redact(uri)}: {redact(reason)[:500]}")


def _split(uri: str) -> tuple[str, dict[str, str]]:
    """Return an address without its password, which every user could see in a list of processes, and an environment."""
    url = make_url(uri)
    secrets = {"PGPASSWORD": url.password or url.query.get("password"), "PGSSLPASSWORD": url.query.get("sslpassword")}
    query = {name: value for name, value in url.query.items() if name not in ("password", "sslpassword")}
    public = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    environment = dict(os.environ)
    environment.setdefault("PGCONNECT_TIMEOUT", _CONNECT_SECONDS)
    for name, secret in secrets.items():
        if secret:
            environment[name] = str(secret)
    if "PGSSLPASSWORD" in environment:
        raise ConfigError(
            "Invalid value for `--backend-store-uri`: a password of a TLS key cannot be given to pg_dump. Use a key "
            "without one, which only the backup job can read."
        )
    return public.render_as_string(hide_password=False), environment
