"""Copy SQLite databases while they are written, and put copies in place of new ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy

from tinybench.core.errors import ConfigError, DataError, TrackingError
from tinybench.core.redaction import redact
from tinybench.service import process
from tinybench.tracking import store

_BUSY_SECONDS = 60


def dump(uri: str, folder: Path) -> dict[str, Path]:
    """Copy the database of runs, and that of users beside it if there is one.

    Users first: a permission that was granted later would name an experiment that the other copy does not have, and
    the next experiment of a restored store would get the number of that one.

    Args:
        uri: Address of the database of runs.
        folder: Receives the copies.

    Returns:
        The copies by name, `users` and `runs`.

    Raises:
        TrackingError: There is no such database, or it cannot be read.
    """
    runs, users = _paths(uri)
    if not runs.is_file():
        raise TrackingError(f"No database {runs}: check --backend-store-uri.")
    databases = {"users": users, "runs": runs} if users.is_file() else {"runs": runs}
    return {name: _copy(path, folder / f"{name}.db") for name, path in databases.items()}


def _copy(source: Path, target: Path) -> Path:
    """Copy a database by SQLite's online backup, in one step: with several, each write would begin it anew."""
    try:
        reading = sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)
        with closing(reading) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # the file alone is the copy
            if copy.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise TrackingError(f"The database {source} is damaged: see `sqlite3 {source} 'PRAGMA quick_check'`.")
    except sqlite3.Error as error:
        raise TrackingError(f"Cannot back up {source}: {error}.") from error
    return target


@contextmanager
def connect(path: Path) -> Iterator[sqlalchemy.Connection]:
    """Yield a transaction of a database file, which is committed when the block ends without an error."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        yield connection


def require_empty(uri: str) -> None:
    """Raise if there is a database already.

    Raises:
        ConfigError: There is one.
    """
    for path in _paths(uri):
        if path.exists():
            raise ConfigError(
                f"Invalid value for `--backend-store-uri`: expected a new database, got {redact(uri)}: {path} exists. "
                "A restore overwrites nothing."
            )


def temporary_files(uri: str) -> dict[str, Path]:
    """Return where databases are restored to before they are proved, by name."""
    runs, users = _paths(uri)
    return {"runs": _hidden(runs), "users": _hidden(users)}


def publish(uri: str) -> None:
    """Give restored databases their names; that of the runs last, since a store is one that has it."""
    runs, users = _paths(uri)
    for path in (users, runs):
        if _hidden(path).exists():
            store.empty_write_ahead_log(f"sqlite:///{_hidden(path)}")
            _hidden(path).rename(path)
            for suffix in ("-wal", "-shm"):
                Path(f"{_hidden(path)}{suffix}").unlink(missing_ok=True)


def remove_temporary(uri: str) -> None:
    """Remove databases that were restored and not proved."""
    for path in temporary_files(uri).values():
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.restoring")


def _paths(uri: str) -> tuple[Path, Path]:
    runs = store.sqlite_path(uri)
    users = store.sqlite_path(process.users_database(uri))
    if runs is None or users is None:
        raise DataError(f"Expected sqlite:///FILE, got {redact(uri)}.")
    return runs, users
