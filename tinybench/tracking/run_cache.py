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
from typing import TYPE_CHECKING

from mlflow.entities import ViewType

from tinybench.core import paths
from tinybench.tracking import store
from tinybench.tracking.experiments import list_experiment_ids

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

_VERSION = 1  # of what is kept
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
        folder = paths.cache_folder() / "runs"
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(store.identity(tracker.uri).encode()).hexdigest()[:16]
        self._database = sqlite3.connect(folder / f"{name}-{_VERSION}.db", timeout=30)
        self._database.execute("PRAGMA journal_mode = WAL")
        with self._database:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, experiment TEXT, started INTEGER, content TEXT)"
            )
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS derived (id TEXT, name TEXT, content BLOB, PRIMARY KEY (id, name))"
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def update(self) -> None:
        """Read the finished runs that are not known yet, and forget those that are deleted."""
        rows = self._database.execute("SELECT started, id FROM runs ORDER BY started, id").fetchall()
        stretches = [rows[start : start + _STRETCH] for start in range(0, len(rows), _STRETCH)] or [[]]
        ends = [stretch[0][0] for stretch in stretches[1:]]
        for stretch, begin, end in zip(stretches, [None, *ends], [*ends, None], strict=True):
            self._update_stretch([run_id for _, run_id in stretch], begin, end)

    def _update_stretch(self, run_ids: list[str], begin: int | None, end: int | None) -> None:
        """Update the runs that began in a stretch of time."""
        conditions = ["attributes.status = 'FINISHED'"]
        conditions += [f"attributes.start_time >= {begin}"] if begin is not None else []
        conditions += [f"attributes.start_time < {end}"] if end is not None else []
        ids = ", ".join(f"'{run_id}'" for run_id in run_ids)
        new = self._search([*conditions, f"attributes.run_id NOT IN ({ids})"] if run_ids else conditions)
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)", map(_to_row, new))
            if run_ids:
                deleted = self._search([f"attributes.run_id IN ({ids})"], ViewType.DELETED_ONLY)
                self._database.executemany("DELETE FROM runs WHERE id = ?", [(run.info.run_id,) for run in deleted])

    def _search(self, conditions: list[str], view: int = ViewType.ACTIVE_ONLY) -> Iterator[MlflowRun]:
        client = self._tracker.client
        experiments = list_experiment_ids(client)
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
            compute: Computes it.
        """
        with closing(self._database.cursor()) as cursor:
            row = cursor.execute("SELECT content FROM derived WHERE id = ? AND name = ?", (run_id, name)).fetchone()
        if row is not None:
            return bytes(row[0])
        content = compute()
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO derived VALUES (?, ?, ?)", (run_id, name, content))
        return content


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
