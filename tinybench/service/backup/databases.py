"""The kinds of databases that can be backed up: a dump of one with the digests of what the dump holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy

from tinybench.core.errors import ConfigError
from tinybench.core.redaction import redact
from tinybench.service.backup import elsewhere, postgres_dump, sqlite_dump, store_content
from tinybench.service.backup.artifact_root import ArtifactRoot
from tinybench.service.backup.store_content import StoreContent

SQLITE, POSTGRESQL = "sqlite", "postgresql"


@dataclass(frozen=True)
class DatabaseDump:
    """A dump of the databases of a store.

    Attributes:
        files: The dumps by name: `runs`, and `users` if they are in a database of their own.
        content: Digests of what they hold.
        schema: The version of the schema, as MLflow numbers it.
        outside: Addresses of runs and models whose files are not below the artifacts' root.
        versions: Where the files of registered versions are below the root, by `NAME/VERSION`.
    """

    files: dict[str, Path]
    content: StoreContent
    schema: str
    outside: list[str]
    versions: dict[str, str]


def kind_of(uri: str) -> str:
    """Return the kind of a database by its address.

    Raises:
        ConfigError: It is of a kind that cannot be backed up.
    """
    kind = uri.partition(":")[0].partition("+")[0]
    if kind not in (SQLITE, POSTGRESQL):
        raise ConfigError(
            "Invalid value for `--backend-store-uri`: expected sqlite:///FILE or postgresql://USER@HOST/DATABASE, got "
            f"{redact(uri)!r}. Back up other databases by their own tools."
        )
    return kind


def dump(uri: str, folder: Path, root: ArtifactRoot) -> DatabaseDump:
    """Dump the databases of a store into a folder.

    Raises:
        ConfigError: The database is of a kind that cannot be backed up.
        TrackingError: It cannot be read, or the program that dumps it is missing.
    """
    if kind_of(uri) == SQLITE:
        return _dump_sqlite(uri, folder, root)
    postgres_dump.require_programs("pg_dump")
    with postgres_dump.snapshot(uri) as (connection, name):
        file = postgres_dump.dump(uri, name, folder)
        return _describe(connection, {"runs": file}, root)


def _dump_sqlite(uri: str, folder: Path, root: ArtifactRoot) -> DatabaseDump:
    files = sqlite_dump.dump(uri, folder)
    with sqlite_dump.connect(files["runs"]) as connection:
        described = _describe(connection, files, root)
    if "users" in files:
        with sqlite_dump.connect(files["users"]) as connection:
            described.content.setdefault("table", {}).update(read_users(connection, root))
    return described


def read_users(connection: sqlalchemy.Connection, root: ArtifactRoot) -> dict[str, dict[str, object]]:
    """Return the digests of the tables of a database of users."""
    return store_content.read(connection, root, prefix="users/")["table"]


def _describe(connection: sqlalchemy.Connection, files: dict[str, Path], root: ArtifactRoot) -> DatabaseDump:
    if not sqlalchemy.inspect(connection).has_table("alembic_version"):
        raise ConfigError("Invalid value for `--backend-store-uri`: this database is not one of MLflow.")
    schema = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return DatabaseDump(
        files,
        store_content.read(connection, root),
        str(schema),
        elsewhere.find(connection, root),
        elsewhere.list_versions(connection, root),
    )
