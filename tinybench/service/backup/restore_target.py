"""The database that a backup is restored to: new, and not usable before it is compared with the backup."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

import sqlalchemy

from tinybench.service.backup import databases, postgres_dump, sqlite_dump
from tinybench.service.backup.new_folders import NewFolders
from tinybench.service.backup.object_store import open_private

Fill = Callable[[BinaryIO], None]
"""Writes the content of a file."""


class RestoreTarget(Protocol):
    """A database to restore to."""

    @property
    def uri(self) -> str:
        """The address at which it can be read before it is published."""

    def require_empty(self) -> None:
        """Raise unless it is new."""

    def load(self, files: Mapping[str, Fill]) -> None:
        """Restore the dumps, which are given by name."""

    def connect(self, name: str) -> AbstractContextManager[sqlalchemy.Connection]:
        """Open a transaction of the database with a name, `runs` or `users`."""

    def publish(self) -> None:
        """Make it usable."""

    def clear(self) -> None:
        """Remove what `load` has restored."""


def target_at(uri: str) -> RestoreTarget:
    """Return the target at an address.

    Raises:
        ConfigError: The database is of a kind that cannot be restored.
    """
    return SqliteTarget(uri) if databases.kind_of(uri) == databases.SQLITE else PostgresTarget(uri)


class SqliteTarget:
    """A SQLite file, hidden beside its place until it is published.

    Args:
        uri: Its address.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._files = sqlite_dump.temporary_files(uri)
        self._new_folders = NewFolders(self._files["runs"].absolute().parent)

    @property
    def uri(self) -> str:
        """The address of the hidden file."""
        return f"sqlite:///{self._files['runs'].absolute()}"

    def require_empty(self) -> None:
        """Raise if there is a file.

        Raises:
            ConfigError: There is.
        """
        sqlite_dump.require_empty(self._uri)

    def load(self, files: Mapping[str, Fill]) -> None:
        """Write the files."""
        sqlite_dump.remove_temporary(self._uri)
        self._files["runs"].parent.mkdir(parents=True, exist_ok=True)
        for name, fill in files.items():
            with open_private(self._files[name]) as file:
                fill(file)

    def connect(self, name: str) -> AbstractContextManager[sqlalchemy.Connection]:
        """Open a transaction of one of the files."""
        return sqlite_dump.connect(self._files[name])

    def publish(self) -> None:
        """Give the files their names."""
        sqlite_dump.publish(self._uri)

    def clear(self) -> None:
        """Remove the hidden files, and the folder if it was made for them."""
        sqlite_dump.remove_temporary(self._uri)
        self._new_folders.remove()


class PostgresTarget:
    """A database of Postgres.

    Args:
        uri: Its address.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._is_loaded = False

    def require_empty(self) -> None:
        """Raise if it has tables, or if the program that restores is missing.

        Raises:
            ConfigError: It has tables.
            TrackingError: It does not answer, or the program is missing.
        """
        postgres_dump.require_programs("pg_restore")
        postgres_dump.require_empty(self.uri)

    def load(self, files: Mapping[str, Fill]) -> None:
        """Restore the dump, all of it or nothing."""
        with TemporaryDirectory(prefix="tinybench-restore-") as folder:
            path = Path(folder) / "runs.dump"
            with open_private(path) as file:
                files["runs"](file)
            postgres_dump.load(path, self.uri)
            self._is_loaded = True

    @contextmanager
    def connect(self, name: str) -> Iterator[sqlalchemy.Connection]:
        """Open a transaction; the users are in the same database."""
        with postgres_dump.transaction(self.uri) as connection:
            yield connection

    def publish(self) -> None:
        """Do nothing: the database is usable since it was restored in one transaction."""

    def clear(self) -> None:
        """Remove all tables, if they were restored."""
        if self._is_loaded:
            postgres_dump.clear(self.uri)
