"""A store whose folder was moved says where its artifacts are, and finds them again when it is told to."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

import tinybench
from tinybench.core.errors import TrackingError
from tinybench.tracking import logged_model
from tinybench.tracking.copying.store_copy import copy_store
from tinybench.tracking.relocation import Relocation, relocate
from tinybench.tracking.tracker import Tracker

ARCHIVE = Path(__file__).parents[1] / "old_store" / "store.tar.xz"
FINISHED = "8caa302d1b0441c7aeb35cf9e6b61aef"
KILLED = "be5beaa6fbba415a9fbf9123b5e9e206"
MODEL = "models:/digits-final@champion"
RUNS, LOCATIONS = 11, 15
"""Of runs, and with them one experiment, one logged model and two of a version."""


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store that was written in /old/project and lies elsewhere now."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path / "project")
    return f"sqlite:///{tmp_path}/project/mlflow.db"


def locations(uri: str) -> list[str]:
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as database:
        return [row[0] for row in database.execute("SELECT artifact_uri FROM runs")]


READING: dict[str, Callable[[str, str], object]] = {
    "predict": lambda uri, run: tinybench.predict(run, ["x.png"], uri=uri),
    "evaluate": lambda uri, run: tinybench.evaluate(run, uri=uri),
    "explain": lambda uri, run: tinybench.explain_images(run, ["x.png"], uri=uri),
    "export": lambda uri, run: tinybench.export(run, uri=uri),
    "compare": lambda uri, run: tinybench.compare([run, KILLED], uri=uri),
    "finetune": lambda uri, run: tinybench.finetune(run, uri=uri),
}


@pytest.mark.parametrize("command", READING)
def test_every_command_that_reads_artifacts_says_where_they_are(moved, tmp_path, command):
    (tmp_path / "project" / "x.png").touch()
    with pytest.raises(TrackingError) as caught:
        READING[command](moved, FINISHED)
    folder = f"mlruns/0/{FINISHED}/artifacts"
    assert str(caught.value) == (
        f"The artifacts of run {FINISHED} are not at /old/project/{folder}, where {moved} says, but at "
        f"{tmp_path}/project/{folder}: the folder was moved. Have the store say so with: tinybench relocate"
    )


def test_a_run_is_not_resumed_and_no_new_one_writes_to_the_old_folder(moved):
    with pytest.raises(TrackingError, match=r"The artifacts of run .* tinybench relocate"):
        tinybench.resume(KILLED, uri=moved)
    with pytest.raises(TrackingError, match=r"of the experiment 'Default' are not at /old/project/mlruns/0, where "):
        tinybench.train("quickstart", track_uri=moved, track_experiment="Default")
    assert len(locations(moved)) == RUNS


@pytest.mark.parametrize("address", [MODEL, "models:/digits-final/1", f"runs:/{FINISHED}/model"])
def test_a_model_says_where_its_files_are(moved, address):
    Tracker.at(moved)
    with (
        pytest.raises(TrackingError, match=r"^The files of the model .* tinybench relocate"),
        logged_model.download(address),
    ):
        pass


def test_nothing_is_promoted(moved):
    with pytest.raises(TrackingError, match=r"^The (artifacts|files) of .* tinybench relocate"):
        tinybench.promote(FINISHED, name="another", uri=moved, dry_run=True)


def test_a_copy_is_refused_in_place_of_one_without_artifacts(moved, tmp_path):
    with pytest.raises(TrackingError, match=r"of the experiment 'Default' are not at .* tinybench relocate"):
        copy_store(moved, f"sqlite:///{tmp_path}/target.db")


def test_the_store_finds_everything_again(moved, tmp_path):
    here = tmp_path / "project" / "mlruns" / "0"
    planned = relocate(moved, dry_run=True)
    assert planned == Relocation({Path("/old/project/mlruns/0"): here}, LOCATIONS, planned.absent)
    assert all(location.startswith("/old/") for location in locations(moved))
    assert relocate(moved) == planned
    assert all(location.startswith(f"{here}/") for location in locations(moved))
    assert relocate(moved) == Relocation({}, 0, planned.absent), "a second time nothing is to do"
    with logged_model.download(MODEL) as files:
        assert files.keras_path.is_file()
    assert MlflowClient(moved).get_experiment("0").artifact_location == str(here)
    assert tinybench.evaluate(FINISHED, uri=moved)["test/accuracy"] == pytest.approx(0.7604, abs=0.01)


def test_a_folder_that_lies_apart_from_the_store_is_named(moved, tmp_path):
    shutil.move(tmp_path / "project" / "mlruns", tmp_path / "elsewhere")
    with pytest.raises(TrackingError, match=r"put them back, or name the folder .*: tinybench relocate FOLDER$"):
        tinybench.evaluate(FINISHED, uri=moved)
    assert relocate(moved).changed == 0
    changed = relocate(moved, tmp_path / "elsewhere")
    assert changed.moves == {Path("/old/project/mlruns/0"): tmp_path / "elsewhere" / "0"}
    assert MlflowClient(moved).list_artifacts(FINISHED)


def test_what_is_where_the_store_says_stays(moved, tmp_path):
    """Half of a store was moved: runs that are at home are not looked for elsewhere."""
    relocate(moved)
    before = locations(moved)
    shutil.copytree(tmp_path / "project" / "mlruns", tmp_path / "copy" / "mlruns")
    assert relocate(moved, tmp_path / "copy" / "mlruns").changed == 0
    assert locations(moved) == before


def test_addresses_of_files_stay_addresses(moved, tmp_path):
    with closing(sqlite3.connect(moved.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE runs SET artifact_uri = 'file://' || artifact_uri")
    relocate(moved)
    assert all(location.startswith(f"file://{tmp_path}/project/mlruns/0/") for location in locations(moved))


def test_an_experiment_without_artifacts_moves_with_the_others(moved, tmp_path):
    with closing(sqlite3.connect(moved.removeprefix("sqlite:///"))) as database, database:
        database.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (7, 'empty', '/old/project/mlruns/7', 'active')"
        )
    relocate(moved)
    assert MlflowClient(moved).get_experiment("7").artifact_location == str(tmp_path / "project" / "mlruns" / "7")


def test_a_store_that_is_no_file_is_not_changed():
    with pytest.raises(TrackingError, match=r"http://me:\*\*\*@x:1 is no SQLite file"):
        relocate("http://me:hush@x:1")


def test_artifacts_that_were_deleted_are_no_other_program_s(moved, tmp_path):
    relocate(moved)
    shutil.rmtree(tmp_path / "project" / "mlruns" / "0" / FINISHED)
    with pytest.raises(TrackingError, match=r"has no config.json at .*: its artifacts were deleted, or are elsewhere"):
        tinybench.evaluate(FINISHED, uri=moved)
