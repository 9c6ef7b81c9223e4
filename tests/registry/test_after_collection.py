"""Former champions whose runs and models were deleted and then collected by `tinybench server gc`."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from champions import NAME, promote

from tinybench.registry import promotion
from tinybench.service.collection.collect import collect
from tinybench.tracking.model_versions import CHAMPION

_COLUMNS = (
    ("runs", "artifact_uri"),
    ("experiments", "artifact_location"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@pytest.fixture
def artifacts(store: str, tmp_path: Path) -> Path:
    """A copy of the artifacts of the store, to which its addresses lead."""
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database, database:
        query = "SELECT artifact_location FROM experiments JOIN runs USING (experiment_id)"
        (location,) = database.execute(query).fetchone()
        before = Path(location.removeprefix("file://")).parent
        copied = Path(shutil.copytree(before, tmp_path / "copied"))
        for table, column in _COLUMNS:
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(before), str(copied)))
    return copied


def _delete_all(tracker) -> set[str]:
    """Delete every run, of phases too, and every logged model; return their ids."""
    experiments = [experiment.experiment_id for experiment in tracker.client.search_experiments()]
    runs = {run.info.run_id for run in tracker.client.search_runs(experiments)}
    models = {model.model_id for model in tracker.client.search_logged_models(experiments)}
    for run in runs:
        tracker.client.delete_run(run)
    for model in models:
        tracker.client.delete_logged_model(model)
    return runs | models


def _restore(tracker, store: str, ids: set[str]) -> None:
    """Restore runs and logged models; for these, MLflow has no call."""
    for run in ids:
        if not run.startswith("m-"):
            tracker.client.restore_run(run)
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE logged_models SET lifecycle_stage = 'active'")


def test_champions_can_be_rolled_back_to_and_compared_with(tracker, runs, two, store, artifacts):
    model_of_bad = tracker.get_run(runs["bad"]).data.tags["tinybench.model_uri"].removeprefix("models:/")
    deleted = _delete_all(tracker)
    result = collect(store, str(artifacts), older_than=0, accept_orphans=True)
    gone = {item.id for item in result.removed.items}
    assert {runs["bad"], model_of_bad} <= gone
    assert {runs["good"], runs["better"]} <= deleted - gone
    assert not list(artifacts.rglob(f"{model_of_bad}*"))
    _restore(tracker, store, deleted - gone)
    assert promote(tracker, runs["good"], dry_run=True).decision.gate_results  # beside the champion, by predictions
    assert promotion.rollback(tracker, NAME).version == 1
    assert two.aliases()[CHAMPION] == 1
    assert [decision.action for decision in promotion.decisions(two)] == ["promote", "promote", "rollback"]
