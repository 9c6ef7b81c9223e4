"""Keep the finished runs of a store on this machine, so that a list of thousands is read at once.

MLflow needs half a minute for ten thousand runs. A finished run does not change any more: only runs that are not known
here are asked for. They are asked for in stretches of time, each with the runs that are known in it, because a run may
come late, from a machine whose store was away.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow.entities import ViewType

from tinybench.core import paths
from tinybench.tracking import store
from tinybench.tracking.experiments import list_experiment_ids

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

_VERSION = 1  # of what is kept
_TABLES = (
    "runs (id TEXT PRIMARY KEY, experiment TEXT, started INTEGER, content TEXT)",
    "derived (id TEXT, name TEXT, content BLOB, PRIMARY KEY (id, name))",
)
_STRETCH = 400  # known runs in a stretch of time: MLflow takes long to read a filter with more ids
_PAGE = 1000
_LONG_TAG = 2000  # characters: descriptions and the like


@dataclass(frozen=True)
class StoredRun:
    """A finished run.

    Attributes:
        run_id: Its id.
        name: Its name.
        experiment_id: Its experiment.
        started: When it began, in milliseconds since 1970.
        ended: When it ended.
        params: Its parameters.
        metrics: The last value of each metric.
        tags: Its tags, without long ones.
    """

    run_id: str
    name: str
    experiment_id: str
    started: int
    ended: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


class RunCache:
    """The finished runs of a store.

    Args:
        tracker: The store.

    Raises:
        TrackingError: The store does not answer.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        name = hashlib.sha256(store.identity(tracker.uri).encode()).hexdigest()[:16]
        self._database = _open(paths.cache_folder() / "runs" / f"{name}-{_VERSION}.db")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def update(self) -> None:
        """Read the finished runs that are not known yet, and forget those that are deleted."""
        rows = self._database.execute("SELECT started, id FROM runs ORDER BY started, id").fetchall()
        stretches = [rows[start : start + _STRETCH] for start in range(0, len(rows), _STRETCH)] or [[]]
        ends = [stretch[0][0] for stretch in stretches[1:]]
        experiments = list_experiment_ids(self._tracker.client)
        for stretch, begin, end in zip(stretches, [None, *ends], [*ends, None], strict=True):
            self._update_stretch(experiments, [run_id for _, run_id in stretch], begin, end)

    def _update_stretch(self, experiments: list[str], run_ids: list[str], begin: int | None, end: int | None) -> None:
        """Update the runs that began in a stretch of time; the file is locked only while it is written."""
        conditions = ["attributes.status = 'FINISHED'"]
        conditions += [f"attributes.start_time >= {begin}"] if begin is not None else []
        conditions += [f"attributes.start_time < {end}"] if end is not None else []
        ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
        deleted: list[tuple[str]] = []
        if run_ids:
            conditions.append(f"attributes.run_id NOT IN ({ids})")
            found = self._search(experiments, [f"attributes.run_id IN ({ids})"], ViewType.DELETED_ONLY)
            deleted = [(run.info.run_id,) for run in found]
        new = [_to_row(run) for run in self._search(experiments, conditions)]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", new)
            self._database.executemany("DELETE FROM runs WHERE id = ?", deleted)

    def _search(
        self, experiments: list[str], conditions: list[str], view: int = ViewType.ACTIVE_ONLY
    ) -> Iterator[MlflowRun]:
        client = self._tracker.client
        query = " and ".join(conditions)
        return store.pages(lambda token: client.search_runs(experiments, query, view, _PAGE, page_token=token))

    def list_runs(self) -> list[StoredRun]:
        """Return the runs of all experiments that are not deleted, the oldest first."""
        experiments = set(list_experiment_ids(self._tracker.client))
        rows = self._database.execute("SELECT id, experiment, started, content FROM runs ORDER BY started, id")
        return [_from_row(*row) for row in rows if row[1] in experiments]

    def derive(self, run_id: str, name: str, compute: Callable[[], bytes]) -> bytes:
        """Return what is computed of a run's artifacts once; artifacts of a finished run do not change.

        Args:
            run_id: The run.
            name: What it is.
            compute: Computes it. Nothing (no bytes) is not kept: the artifacts may only be away.
        """
        with closing(self._database.cursor()) as cursor:
            row = cursor.execute("SELECT content FROM derived WHERE id = ? AND name = ?", (run_id, name)).fetchone()
        if row is not None:
            return bytes(row[0])
        content = compute()
        if content:
            with self._database:
                self._database.execute("INSERT OR REPLACE INTO derived VALUES (?, ?, ?)", (run_id, name, content))
        return content


def _open(file: Path) -> sqlite3.Connection:
    """Open the file, a new one if it is damaged; without one that can be written, nothing is kept."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return _connect(file)
    except (OSError, sqlite3.OperationalError):  # no disk, or no right to write there
        return _connect(":memory:")
    except sqlite3.DatabaseError:
        file.unlink()
        return _connect(file)


def _connect(file: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=30)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        with database:
            for table in _TABLES:
                database.execute(f"CREATE TABLE IF NOT EXISTS {table}")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _to_row(run: MlflowRun) -> tuple[str, str, int, str]:
    run_tags = {name: value for name, value in run.data.tags.items() if len(value) <= _LONG_TAG}
    content = {
        "name": run.info.run_name or "",
        "ended": run.info.end_time or 0,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "tags": run_tags,
    }
    return run.info.run_id, run.info.experiment_id, run.info.start_time or 0, json.dumps(content)


def _from_row(run_id: str, experiment: str, started: int, content: str) -> StoredRun:
    values = json.loads(content)
    return StoredRun(
        run_id,
        values["name"],
        experiment,
        started,
        values["ended"],
        values["params"],
        values["metrics"],
        values["tags"],
    )
