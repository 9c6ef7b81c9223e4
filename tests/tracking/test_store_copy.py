"""Everything of a store gets into another one, once, and a difference is noticed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import stores
from copied_stores import by_source, census, default_store, log_foreign_runs, train_and_promote
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from processes import python
from servers import Server
from small_runs import all_runs, points

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.tracking.copying.copy_report import CopyReport
from tinybench.tracking.copying.store_copy import copy_store


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a promoted run of tinybench and nested foreign runs."""
    with stores.elsewhere(tmp_path_factory) as folder:
        uri = f"sqlite:///{folder}/source.db"
        train_and_promote(uri)
        log_foreign_runs(uri, folder / "files")
        return uri


@pytest.fixture(scope="module")
def copied(source: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, CopyReport]:
    """A SQLite store with a copy of it."""
    with stores.elsewhere(tmp_path_factory):
        target = stores.fresh(tmp_path_factory)
        return target, copy_store(source, target)


@pytest.fixture
def target(copied: tuple[str, CopyReport], tmp_path: Path) -> str:
    return copied[0]


def test_the_copy_is_complete_and_verified(copied):
    _, report = copied
    assert report.differences == report.problems == report.notes == []
    assert report.is_verified
    assert (report.runs, report.known_runs, report.deleted_runs) == (10, 0, 1)
    assert (report.models, report.versions) == (2, 4)
    assert report.artifacts > 20


def test_runs_keep_their_times_and_point_to_the_copies(source, target):
    copies = by_source(target)
    originals = {run.info.run_id: run for run in all_runs(source)}
    assert copies.keys() == originals.keys()
    for run_id, run in originals.items():
        copied_run = copies[run_id]
        for name in ("run_name", "status", "start_time", "end_time", "user_id"):
            assert getattr(copied_run.info, name) == getattr(run.info, name)
        parent = run.data.tags.get("mlflow.parentRunId")
        if parent:
            assert copied_run.data.tags["mlflow.parentRunId"] == copies[parent].info.run_id
        assert points(source, run_id) == points(target, copied_run.info.run_id)
    siblings = {run.data.tags["sibling"] for run in copies.values() if "sibling" in run.data.tags}
    assert siblings == {run.info.run_id for run in copies.values() if run.info.run_name == "parent"}


def test_models_load_and_name_the_copies(target):
    with default_store(target) as client:
        model = mlflow.pyfunc.load_model("models:/digits@champion")
        assert len(model.predict(pd.DataFrame({"image": np.zeros((2, 8, 8, 1), np.uint8).tolist()}))) == 2
        version = client.get_model_version_by_alias("digits", "champion")
        run = client.get_run(version.run_id)
        assert run.data.tags["tinybench.model_uri"] == f"models:/{model.metadata.model_id}"
        assert model.metadata.run_id == version.run_id
        assert json.loads(version.tags["tinybench.decision.1"]) == {"run_id": version.run_id}
        assert version.description == "# A model card"
        logged = client.get_logged_model(model.metadata.model_id)
        assert version.source == logged.artifact_location
        assert {metric.key for metric in logged.metrics} >= {"test/accuracy"}
        assert list(mlflow.pyfunc.load_model("models:/doubling/4").predict(pd.DataFrame({"x": [1, 2]}))) == [2, 4]


def test_versions_keep_their_numbers(target):
    client = MlflowClient(target)
    versions = {int(version.version): version for version in client.search_model_versions("name = 'doubling'")}
    assert sorted(versions) == [1, 3, 4]
    assert {number: version.tags.get("nth") for number, version in versions.items()} == {1: "first", 3: "third", 4: None}
    assert versions[4].source == "models:/doubling/3"
    model = client.get_registered_model("doubling")
    assert (model.description, model.tags["owner"]) == ("It doubles", "us")
    assert {alias: int(number) for alias, number in model.aliases.items()} == {"best": 3, "old": 1}
    assert client.get_registered_model("empty").description == "No versions"


def test_a_second_copy_sends_nothing(source, target):
    before = census(target)
    report = copy_store(source, target)
    assert (report.runs, report.artifacts, report.models, report.versions) == (0, 0, 0, 0)
    assert (report.known_runs, report.known_models, report.known_versions) == (10, 2, 4)
    assert report.is_complete
    assert census(target) == before


def test_one_store_is_refused(source):
    with pytest.raises(ConfigError, match="--from and --to are both sqlite"):
        copy_store(source, source)


def test_a_source_that_does_not_exist_is_not_created(tmp_path):
    with pytest.raises(TrackingError, match="check --from"):
        copy_store(f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tmp_path}/target.db")
    assert not (tmp_path / "none.db").exists()


def test_an_unknown_experiment_is_named(source, tmp_path):
    with pytest.raises(ConfigError, match="has no experiment 'bogus', but Default, digits, foreign"):
        copy_store(source, f"sqlite:///{tmp_path}/target.db", experiments=["bogus"])
