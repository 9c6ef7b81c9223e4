"""Find artifacts that a backup would lack: those outside of the server's store, and those that are gone."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy

from tinybench.service.backup.artifact_root import COLUMNS, ArtifactRoot, local_path

_REFERENCES = ("models:", "runs:")
_OWNERS = ("runs", "logged_models")


def find(connection: sqlalchemy.Connection, root: ArtifactRoot) -> list[str]:
    """Return the addresses of runs and logged models with files outside of the root.

    A folder on this machine that is missing or empty is none of them.
    """
    addresses: set[str] = set()
    for column in COLUMNS:
        if column.table in _OWNERS:
            table = sqlalchemy.table(column.table, sqlalchemy.column(column.column))
            addresses.update(filter(None, connection.scalars(sqlalchemy.select(table.c[column.column]))))
    return sorted(address for address in addresses if _has_files_outside(address, root))


def _has_files_outside(address: str, root: ArtifactRoot) -> bool:
    if address.startswith(_REFERENCES) or root.relative(address) is not None:
        return False
    if "://" in address and not address.startswith("file://"):
        return True
    folder: Path = local_path(address)
    return any(path.is_file() for path in folder.rglob("*"))


def list_versions(connection: sqlalchemy.Connection, root: ArtifactRoot) -> dict[str, str]:
    """Return where the files of registered versions are, below the root, by `NAME/VERSION`."""
    table = sqlalchemy.table(
        "model_versions", *map(sqlalchemy.column, ("name", "version", "storage_location", "source"))
    )
    rows = connection.execute(sqlalchemy.select(table)).mappings()
    paths = {
        f"{row['name']}/{row['version']}": root.relative(row["storage_location"] or row["source"] or "") for row in rows
    }
    return {version: path for version, path in paths.items() if path}
