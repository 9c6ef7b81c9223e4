"""Correct the locations of artifacts in a SQLite store whose folder was moved.

MLflow stores each location as a whole path and has no call that changes one, so that the database is changed itself, in
one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tinybench.core import waiting
from tinybench.core.errors import TrackingError
from tinybench.tracking import store
from tinybench.tracking.artifact_location import find_moved, folders_beside, local_folder

_LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Relocation:
    """What was corrected, or would be.

    Attributes:
        moves: The new folder by the old one; each held the artifacts of an experiment.
        changed: The number of locations that differ now.
        absent: Folders that are not where the store says, and were not found.
    """

    moves: dict[Path, Path]
    changed: int
    absent: list[Path]


def relocate(uri: str, folder: Path | None = None, *, dry_run: bool = False) -> Relocation:
    """Have a SQLite store look for its artifacts where they lie now; those that are where it says stay.

    Args:
        uri: Address of the store.
        folder: The folder that has the artifacts now, such as `mlruns`; looked for beside the store if None.
        dry_run: Whether to change nothing.

    Raises:
        TrackingError: The store is no SQLite file, or is locked; or there is no such folder.
    """
    store.require_exists(uri)
    file = store.sqlite_path(uri)
    if file is None:
        raise TrackingError(
            f"{store.display(uri)} is no SQLite file: put the artifacts back where it says that they are."
        )
    if folder is not None and not folder.is_dir():
        raise TrackingError(f"There is no folder {folder}: name the one that has the artifacts now, such as mlruns.")
    starts = folders_beside(uri) if folder is None else [folder.resolve(), folder.resolve().parent]
    try:
        with closing(sqlite3.connect(file, timeout=_LOCK_SECONDS, isolation_level=None)) as database:
            with waiting.tell_if_slow(f"waiting for {uri}, which another process writes to"):
                database.execute("BEGIN" if dry_run else "BEGIN IMMEDIATE")
            relocation = _correct(database, starts, dry_run=dry_run)
            database.execute("COMMIT")
    except sqlite3.Error as error:
        raise TrackingError(f"Cannot change {uri}: {error}. Nothing was changed; try again.") from error
    return relocation


def _correct(database: sqlite3.Connection, starts: Sequence[Path], *, dry_run: bool) -> Relocation:
    moves = _find_moves(database, starts)
    changed, absent = 0, set()
    for table, column in _list_columns(database):
        for row, location in database.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            folder = _missing_folder(location)
            if folder is None:
                continue
            moved = _apply(moves, folder)
            if moved is None:
                absent |= {folder} if table != "experiments" else set()
                continue
            changed += 1
            if not dry_run:
                text = moved.as_uri() if location.startswith("file:") else str(moved)
                database.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (text, row))
    return Relocation(moves, changed, sorted(absent))


def _find_moves(database: sqlite3.Connection, starts: Sequence[Path]) -> dict[Path, Path]:
    """Return where the folders of experiments lie now, as far as a run or model of each is found, and those beside."""
    moves: dict[Path, Path] = {}
    for folder in _list_content(database):
        home = _home(folder)
        if home not in moves and (moved := find_moved(folder, starts)) is not None:
            moves[home] = _home(moved)
    roots = {home.parent: moved.parent for home, moved in moves.items() if home.name == moved.name}
    for folder in filter(None, map(_missing_folder, _read(database, "experiments", "artifact_location"))):
        if folder not in moves and folder.parent in roots:  # an experiment without artifacts
            moves[folder] = roots[folder.parent] / folder.name
    return moves


def _list_content(database: sqlite3.Connection) -> Iterator[Path]:
    """Yield the folders of runs and logged models that are not where the store says."""
    for table, column in _list_columns(database):
        if table in ("runs", "logged_models"):
            folders = map(_missing_folder, _read(database, table, column))
            yield from (folder for folder in folders if folder is not None and folder.name == "artifacts")


def _home(folder: Path) -> Path:
    """Return the folder of an experiment from that of the artifacts of a run or a logged model."""
    return folder.parents[2] if folder.parents[1].name == "models" else folder.parents[1]


def _apply(moves: dict[Path, Path], folder: Path) -> Path | None:
    for home in (folder, *folder.parents):
        if home in moves:
            return moves[home] / folder.relative_to(home)
    return None


def _missing_folder(location: str | None) -> Path | None:
    """Return the folder of a location that is on a disk and not there; None for any other location."""
    folder = local_folder(location) if location else None
    return None if folder is None or folder.exists() else folder.absolute()


def _read(database: sqlite3.Connection, table: str, column: str) -> list[str | None]:
    return [row[0] for row in database.execute(f"SELECT {column} FROM {table}")]


def _list_columns(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield the tables and columns of locations that this store has: an older one has fewer."""
    for table, column in _LOCATIONS:
        if column in [row[1] for row in database.execute(f"PRAGMA table_info({table})")]:
            yield table, column
