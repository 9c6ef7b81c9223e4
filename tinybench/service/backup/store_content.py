"""Digest what a database holds, run by run and model by model, so that two databases can be compared.

The tables are read as they are, and not through MLflow's client, so that nothing that MLflow keeps is left out: what
belongs to no run and no model is compared table by table.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy

from tinybench.service.backup.artifact_root import COLUMNS, ArtifactRoot

_ROWS_AT_ONCE = 2000
_OWNED_TABLES = (
    ("run", "{run_uuid}", ("runs", "params", "tags", "metrics", "latest_metrics")),
    (
        "logged model",
        "{model_id}",
        ("logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics"),
    ),
    ("registered model", "{name}", ("registered_models", "registered_model_tags")),
    ("model version", "{name}/{version}", ("model_versions", "model_version_tags")),
    ("alias", "{name}@{alias}", ("registered_model_aliases",)),
)
_OWNERS = {table: (kind, pattern) for kind, pattern, tables in _OWNED_TABLES for table in tables}
"""By table: the kind of thing that a row belongs to, and its name made of the row's columns."""

_COUNTED = {
    "runs": "runs",
    "metrics": "metric points",
    "params": "parameters",
    "tags": "tags",
    "logged_models": "logged models",
    "registered_models": "registered models",
    "model_versions": "model versions",
    "registered_model_aliases": "aliases",
}


@dataclass
class Digest:
    """The digest of rows of a database, whatever their order.

    Attributes:
        total: The sum of the SHA-256 of all rows.
        rows: The number of rows by table.
    """

    total: int = 0
    rows: Counter[str] = field(default_factory=Counter)

    def add(self, table: str, row: bytes) -> None:
        """Add a row."""
        self.total = (self.total + int.from_bytes(hashlib.sha256(row).digest(), "big")) % (1 << 256)
        self.rows[table] += 1

    def to_dict(self) -> dict[str, Any]:
        """Return the digest, ready for JSON."""
        return {"sha256_sum": f"{self.total:064x}", "rows": dict(sorted(self.rows.items()))}


StoreContent = dict[str, dict[str, dict[str, Any]]]
"""Digests by kind, such as `run`, and name, such as the run's id."""


def read(connection: sqlalchemy.Connection, root: ArtifactRoot, prefix: str = "") -> StoreContent:
    """Return the digests of everything in a database.

    Args:
        connection: The database.
        root: Where its artifacts are; addresses are compared without it.
        prefix: Put before the names of tables that belong to no run and no model.
    """
    digests: dict[str, dict[str, Digest]] = defaultdict(lambda: defaultdict(Digest))
    inspector = sqlalchemy.inspect(connection)
    for table in sorted(inspector.get_table_names()):
        columns = sorted(column["name"] for column in inspector.get_columns(table))
        kind, pattern = _OWNERS.get(table, ("table", f"{prefix}{table}"))
        if kind == "table":
            _ = digests[kind][pattern]  # also a table without rows
        for row in _read_rows(connection, table, columns, root):
            name = pattern.format_map(dict(zip(columns, row, strict=True))) if kind != "table" else pattern
            digests[kind][name].add(table, _encode_row(table, columns, row))
    return {kind: {name: digest.to_dict() for name, digest in named.items()} for kind, named in digests.items()}


def count(content: StoreContent) -> dict[str, int]:
    """Return the numbers of runs, metric points and so on, by their names for people."""
    rows: Counter[str] = Counter()
    for named in content.values():
        for digest in named.values():
            rows.update(digest["rows"])
    return {label: rows[table] for table, label in _COUNTED.items()}


def compare(expected: StoreContent, actual: StoreContent) -> list[str]:
    """Return the differences between two databases, for people; none if they hold the same."""
    differences = []
    for kind in sorted(expected.keys() | actual.keys()):
        before, after = expected.get(kind, {}), actual.get(kind, {})
        differences += [f"{kind} {name} is missing" for name in sorted(before.keys() - after.keys())]
        differences += [f"{kind} {name} was not backed up" for name in sorted(after.keys() - before.keys())]
        for name in sorted(before.keys() & after.keys()):
            if before[name] != after[name]:
                differences.append(f"{kind} {name} differs{_describe_rows(before[name], after[name])}")
    return differences


def _describe_rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    tables = sorted(before["rows"].keys() | after["rows"].keys())
    counts = [(table, before["rows"].get(table, 0), after["rows"].get(table, 0)) for table in tables]
    unequal = [
        f"{table}: {first:,} rows in the backup, {second:,} here" for table, first, second in counts if first != second
    ]
    return f" ({'; '.join(unequal)})" if unequal else ""


def _read_rows(
    connection: sqlalchemy.Connection, table: str, columns: list[str], root: ArtifactRoot
) -> Iterator[Sequence[Any]]:
    """Yield the rows of a table as the driver gives them, with addresses normalized."""
    quote = connection.dialect.identifier_preparer.quote
    query = f"SELECT {', '.join(map(quote, columns))} FROM {quote(table)}"
    addresses = [(columns.index(column.column), column.key) for column in COLUMNS if column.table == table]
    keys = columns.index("key") if "key" in columns else None
    streaming = connection.execution_options(stream_results=True, max_row_buffer=_ROWS_AT_ONCE)
    with streaming.exec_driver_sql(query) as result:
        for row in result:
            yield _normalize(row, addresses, keys, root) if addresses else row


def _normalize(
    row: Sequence[Any], addresses: list[tuple[int, str | None]], keys: int | None, root: ArtifactRoot
) -> list[Any]:
    values = list(row)
    for index, key in addresses:
        if isinstance(values[index], str) and (key is None or (keys is not None and row[keys] == key)):
            values[index] = root.normalize(values[index])
    return values


def _encode_row(table: str, columns: list[str], row: Sequence[Any]) -> bytes:
    return json.dumps([table, columns, *row], sort_keys=True, default=_to_text).encode()


def _to_text(value: Any) -> str:
    return bytes(value).hex() if isinstance(value, bytes | bytearray | memoryview) else str(value)
