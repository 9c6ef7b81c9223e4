"""Tell which file of the artifact store an address in the database means, and move addresses to another store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import sqlalchemy

PROXY_SCHEME = "mlflow-artifacts:"
"""Of addresses that MLflow's server resolves, wherever its artifacts are."""

_FILE_SCHEME = "file://"


@dataclass(frozen=True)
class AddressColumn:
    """A column of MLflow's database with addresses of artifacts.

    Attributes:
        table: Its table.
        column: Its name.
        key: The value that the table's column `key` has in rows with an address; None if all rows have one.
    """

    table: str
    column: str
    key: str | None = None


COLUMNS = (
    AddressColumn("runs", "artifact_uri"),
    AddressColumn("logged_models", "artifact_location"),
    AddressColumn("model_versions", "storage_location"),
    AddressColumn("model_versions", "source"),
    AddressColumn("trace_tags", "value", "mlflow.artifactLocation"),
    AddressColumn("experiments", "artifact_location"),
)
"""All of them."""


@dataclass(frozen=True)
class ArtifactRoot:
    """The folder or `s3://` address below which artifacts are, as it may be written in the database.

    Attributes:
        prefixes: Its spellings, without a slash at the end.
    """

    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, destination: str) -> ArtifactRoot:
        """Return the root of a destination as `--artifacts-destination` takes it."""
        if "://" in destination and not destination.startswith(_FILE_SCHEME):
            return cls((destination.rstrip("/"),))
        path = local_path(destination).absolute()
        folders = (Path(os.path.normpath(path)), path.resolve())  # MLflow writes the first, without following links
        return cls(tuple(dict.fromkeys(spelling for folder in folders for spelling in (str(folder), folder.as_uri()))))

    def relative(self, address: str) -> str | None:
        """Return the path below the root that an address means; None if it is elsewhere."""
        if address.startswith(PROXY_SCHEME):
            return urlsplit(address).path.lstrip("/")
        for prefix in self.prefixes:
            if address == prefix or address.startswith(f"{prefix}/"):
                path = address[len(prefix) :].lstrip("/")
                return unquote(path) if prefix.startswith(_FILE_SCHEME) else path
        return None

    def normalize(self, address: str) -> str:
        """Return an address with `<artifacts>` in place of the root, so that it can be compared with another store."""
        if address.startswith(PROXY_SCHEME):
            return address
        path = self.relative(address)
        return address if path is None else f"<artifacts>/{path}"

    def move(self, connection: sqlalchemy.Connection, target: ArtifactRoot) -> None:
        """Change the addresses in a database from this root to another one.

        Raises:
            SQLAlchemyError: An address would be too long for its column.
        """
        tables = set(sqlalchemy.inspect(connection).get_table_names())
        for address in COLUMNS:
            if address.table not in tables:
                continue
            for prefix in self.prefixes:
                _replace_prefix(connection, address, prefix, target.spelled_like(prefix))

    def spelled_like(self, prefix: str) -> str:
        """Return the spelling of this root that is a URI if another prefix is one."""
        if not prefix.startswith(_FILE_SCHEME):
            return self.prefixes[0]
        return next((uri for uri in self.prefixes if uri.startswith(_FILE_SCHEME)), self.prefixes[0])


def local_path(destination: str) -> Path:
    """Return the folder of a local destination, a path or `file://` URI."""
    if destination.startswith(_FILE_SCHEME):
        return Path(unquote(urlsplit(destination).path))
    return Path(destination)


def _replace_prefix(connection: sqlalchemy.Connection, address: AddressColumn, before: str, after: str) -> None:
    if before == after:
        return
    column: sqlalchemy.ColumnClause[str] = sqlalchemy.column(address.column)
    table = sqlalchemy.table(address.table, column, sqlalchemy.column("key"))
    rest = sqlalchemy.func.substr(column, len(before) + 1)
    is_below = sqlalchemy.func.substr(column, 1, len(before) + 1) == f"{before}/"
    statement = (
        table.update().where(is_below | (column == before)).values({address.column: sqlalchemy.literal(after) + rest})
    )
    if address.key is not None:
        statement = statement.where(table.c.key == address.key)
    connection.execute(statement)
