"""Everything of a store gets into another one, once, and a difference is noticed."""

from __future__ import annotations

import json
import os
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
from small_runs import all_runs, points
from sqlalchemy.exc import OperationalError

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.tracking.copying.copy_report import CopyReport
from tinybench.tracking.copying.store_copy import _converting_errors, copy_store


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
    assert {number: version.tags.get("nth") for number, version in versions.items()} == {
        1: "first",
        3: "third",
        4: None,
    }
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


def test_an_unknown_experiment_is_named(source, fresh):
    with pytest.raises(ConfigError, match="has no experiment 'bogus', but Default, digits, foreign"):
        copy_store(source, fresh, experiments=["bogus"])


def damaged(location: str) -> Path:
    """A file of a folder of artifacts with a byte changed."""
    file = max(Path(location).rglob("large.bin"))
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    return file


@pytest.fixture
def small(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A store with one foreign run that has an artifact, and the run's id."""
    uri = stores.fresh(tmp_path_factory)
    (tmp_path / "large.bin").write_bytes(bytes(5000))
    (tmp_path / "a#b%20c?.txt").write_text("text")
    client = MlflowClient(uri)
    run_id = client.create_run("0", run_name="small", tags={"gone later": "1"}).info.run_id
    client.log_artifact(run_id, str(tmp_path / "large.bin"), "folder")
    client.log_metric(run_id, "loss", 1.0, step=1)
    client.set_terminated(run_id)
    return uri, run_id


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.fresh(tmp_path_factory)


def the_copy(uri: str) -> mlflow.entities.Run:
    (run,) = all_runs(uri)
    return run


def test_a_damaged_artifact_is_noticed_and_repaired_by_the_next_copy(small, fresh):
    source, run_id = small
    assert copy_store(source, fresh).is_complete
    damaged(the_copy(fresh).info.artifact_uri)
    report = copy_store(source, fresh)
    assert report.known_runs == 1
    (difference,) = report.differences
    assert difference.startswith(f"run {run_id} (small): artifact folder/large.bin is '")
    repaired = copy_store(source, fresh)
    assert (repaired.runs, repaired.artifacts, repaired.differences) == (1, 1, [])


def test_what_the_source_got_since_is_added(small, fresh):
    source, run_id = small
    copy_store(source, fresh)
    client = MlflowClient(source)
    client.log_batch(run_id, [Metric("loss", 0.5, 20_000_000_000_000, 2)])
    client.set_tag(run_id, "later", f"see {run_id}")
    client.log_text(run_id, "later", "later.txt")
    report = copy_store(source, fresh)
    assert (report.runs, report.artifacts, report.differences) == (1, 1, [])
    assert the_copy(fresh).data.tags["later"] == f"see {the_copy(fresh).info.run_id}"
    assert the_copy(fresh).data.metrics == {"loss": 0.5}


def test_what_was_changed_in_the_target_is_named(small, fresh):
    source, _ = small
    copy_store(source, fresh)
    client, copy_id = MlflowClient(fresh), the_copy(fresh).info.run_id
    client.log_metric(copy_id, "loss", 3.0, 1, 2)
    client.delete_tag(copy_id, "gone later")
    report = copy_store(source, fresh)
    assert [line.partition("): ")[2] for line in report.differences] == [
        "latest metric loss is '3.0' in the target, not '1.0'",
        "metric point loss=3.0 of step 2 at 1 is only in the target",
    ]


def test_files_of_any_name_get_to_a_folder(small, fresh, tmp_path):
    source, run_id = small
    MlflowClient(source).log_artifact(run_id, str(tmp_path / "a#b%20c?.txt"))
    assert copy_store(source, fresh).is_complete
    assert (Path(the_copy(fresh).info.artifact_uri) / "a#b%20c?.txt").read_text() == "text"


def test_a_run_that_came_from_the_target_is_left_as_it_is(small, fresh):
    source, _ = small
    copy_store(source, fresh)
    before = census(source)
    report = copy_store(fresh, source)
    assert (report.runs, report.known_runs, report.original_runs, report.is_complete) == (0, 0, 1, True)
    assert census(source) == before


def test_what_a_copy_got_is_missed_by_a_copy_back(small, fresh):
    """A run that was resumed in the other store is not copied back, and the copy says so."""
    source, run_id = small
    copy_store(source, fresh)
    client, copy_id = MlflowClient(fresh), the_copy(fresh).info.run_id
    client.log_metric(copy_id, "loss", 0.5, 20_000_000_000_000, 2)
    client.log_text(copy_id, "text", "result.txt")
    report = copy_store(fresh, source)
    assert not report.is_complete
    assert [line.partition("): ")[2] for line in report.differences] == [
        "artifact result.txt is not in the target",
        "metric point loss=0.5 of step 2 at 20000000000000 is not in the target",
    ]
    assert MlflowClient(source).get_run(run_id).data.metrics == {"loss": 1.0}


def test_a_promoted_version_is_copied_back_and_forth_without_differences(source, fresh):
    assert copy_store(source, fresh, experiments=["digits"]).is_complete
    before = census(source)
    for from_uri, to_uri in ((fresh, source), (source, fresh), (fresh, source)):
        report = copy_store(from_uri, to_uri)
        if to_uri == fresh:
            continue  # with the runs of the other experiment
        assert (report.differences, report.problems, report.versions) == ([], [], 0)
    assert census(source) == before


@pytest.mark.parametrize("uri", ["sqlite:///", "sqlite://", "foo", "htp://x", "http://", "sqlite:///file/mlflow.db"])
def test_an_address_that_can_be_no_store_is_refused_at_once(small, tmp_path, uri):
    (tmp_path / "file").touch()
    for pair in ((small[0], uri), (uri, small[0])):
        began = time.monotonic()
        with pytest.raises((ConfigError, TrackingError)) as raised:
            copy_store(*pair)
        assert time.monotonic() - began < 2
        assert "\n" not in str(raised.value)


def test_a_database_that_stops_during_a_copy_is_told(small):
    away = "postgresql+psycopg://me:secret@127.0.0.1:9/db"
    with pytest.raises(TrackingError) as raised, _converting_errors(small[0], away):
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))
    assert "secret" not in str(raised.value)


def test_one_store_under_two_addresses_is_refused(small, tmp_path):
    file = Path(small[0].removeprefix("sqlite:///"))
    (tmp_path / "link.db").symlink_to(file)
    os.link(file, tmp_path / "hard.db")
    with pytest.raises(ConfigError, match="both"):
        copy_store(small[0], f"sqlite:///{tmp_path}/link.db")
    with pytest.raises(TrackingError, match="are the same store: both have run"):
        copy_store(small[0], f"sqlite:///{tmp_path}/hard.db")


def test_an_alias_that_others_moved_stays(small, fresh):
    source, run_id = small
    sources, targets = MlflowClient(source), MlflowClient(fresh)
    sources.create_registered_model("net")
    for _ in range(3):
        sources.create_model_version("net", f"runs:/{run_id}/folder", run_id)
    sources.set_registered_model_alias("net", "champion", "1")
    sources.set_registered_model_alias("net", "gone", "1")
    assert copy_store(source, fresh).is_complete
    sources.set_registered_model_alias("net", "champion", "2")
    sources.delete_registered_model_alias("net", "gone")
    assert copy_store(source, fresh).is_complete
    assert dict(targets.get_registered_model("net").aliases) == {"champion": 2}
    targets.set_registered_model_alias("net", "champion", "3")
    report = copy_store(source, fresh)
    assert report.notes == ["Alias champion of net stays at version 3 of the target, where it was set by others."]
    assert report.differences == ["registered model net: alias champion is 3 in the target, not 2"]


def test_versions_of_a_deleted_run_are_left_out_and_named(small, fresh):
    source, run_id = small
    client = MlflowClient(source)
    client.create_registered_model("net")
    extra = client.create_run("0").info.run_id
    client.create_model_version("net", f"runs:/{extra}/model", extra)
    client.create_model_version("net", f"runs:/{run_id}/folder", run_id)
    client.create_model_version("net", "s3://bucket/model", None)
    client.delete_run(extra)
    report = copy_store(source, fresh)
    assert report.notes == [f"Version net/1 is left out: run {extra} is deleted or not selected."]
    assert (report.versions, report.deleted_runs, report.is_complete) == (2, 1, True)
    copies = {version.version: version.source for version in MlflowClient(fresh).search_model_versions("name = 'net'")}
    assert copies == {2: f"runs:/{the_copy(fresh).info.run_id}/folder", 3: "s3://bucket/model"}


def test_versions_get_numbers_behind_those_of_others(small, fresh):
    source, run_id = small
    for uri in (source, fresh):
        MlflowClient(uri).create_registered_model("net")
    MlflowClient(fresh).create_model_version("net", "s3://bucket/theirs", None)
    MlflowClient(source).create_model_version("net", f"runs:/{run_id}/folder", run_id)
    MlflowClient(source).set_registered_model_alias("net", "champion", "1")
    report = copy_store(source, fresh)
    assert report.notes == ["Version net/1 has number 2 in the target, which has others."]
    assert report.is_complete
    assert dict(MlflowClient(fresh).get_registered_model("net").aliases) == {"champion": 2}
    assert copy_store(source, fresh).known_versions == 1


def test_a_selected_experiment_is_copied_alone_and_the_others_later(source, fresh):
    report = copy_store(source, fresh, experiments=["foreign"])
    assert (report.runs, report.models, report.versions, report.deleted_runs) == (7, 1, 3, 1)
    assert report.is_complete
    assert [model.name for model in MlflowClient(fresh).search_registered_models()] == ["doubling"]
    later = copy_store(source, fresh)
    assert (later.runs, later.known_runs, later.models, later.versions) == (3, 7, 1, 1)
    assert later.is_complete


def test_a_deleted_experiment_of_the_target_is_named(small, fresh):
    experiment = MlflowClient(small[0]).create_experiment("old")
    MlflowClient(small[0]).create_run(experiment)
    MlflowClient(fresh).delete_experiment(MlflowClient(fresh).create_experiment("old"))
    with pytest.raises(
        TrackingError,
        match=r"The experiment 'old' in sqlite:///.* is deleted\. Restore it with: MLFLOW_TRACKING_URI=sqlite:///",
    ):
        copy_store(small[0], fresh)
