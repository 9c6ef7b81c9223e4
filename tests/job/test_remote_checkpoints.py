"""A run that begins on one machine and is resumed on another, which has nothing but the store."""

from __future__ import annotations

import zipfile
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from small_runs import SMALL, all_runs, content, points

import tinybench
from tinybench.core.errors import TrackingError
from tinybench.job import remote_checkpoints
from tinybench.tracking import run_record
from tinybench.tracking.tracker import Tracker
from tinybench.training.progress import Epoch

SETTINGS = SMALL | {"transfer.epochs": 3, "finetune.epochs": 4, "track.checkpoints": "remote"}


class StopAfter(tinybench.RunCallbacks):
    """Ends a run after an epoch, as Ctrl-C would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self, epoch: Epoch) -> None:
        if epoch.number == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def interrupted(store: str, epoch: int, **settings: object) -> str:
    """The id of a run that was stopped after an epoch."""
    with pytest.raises(KeyboardInterrupt):
        tinybench.train(**SETTINGS | {"track.uri": store} | settings, run_callbacks=StopAfter(epoch))
    runs = MlflowClient(store).search_runs(
        ["0", "1"], "attributes.status = 'KILLED'", order_by=["attributes.start_time"]
    )
    return str(runs[0].info.run_id)


@pytest.mark.parametrize("epoch", [2, 5], ids=["in transfer", "in finetune"])
def test_another_machine_ends_the_run_as_this_one_would_have(
    store: str, epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = interrupted(store, epoch)
    monkeypatch.setenv("TINYBENCH_STATE", str(tmp_path / "another machine"))
    resumed = tinybench.resume(run_id, uri=store)
    whole = tinybench.train(**SETTINGS | {"track.uri": store})
    assert resumed.run_id == run_id
    tracker = Tracker.at(store)
    first, second = (run_record.load_final_model(tracker, result.run_id) for result in (resumed, whole))
    for ours, theirs in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    steps = sorted(step for name, step, _, _ in points(store, run_id) if name == "val/loss")
    assert steps == [1, 2, 3, 4, 5, 6, 7], "no epoch is missing or doubled"
    assert {phase.info.status for phase in children(store, run_id)} == {"FINISHED"}


def children(store: str, run_id: str) -> list[mlflow.entities.Run]:
    return list(MlflowClient(store).search_runs(["0", "1"], f"tags.`mlflow.parentRunId` = '{run_id}'"))


def test_a_finished_phase_keeps_no_checkpoint_in_the_store(store: str) -> None:
    result = tinybench.train(**SETTINGS | {"track.uri": store})
    items = MlflowClient(store).list_artifacts(result.phases["finetune"].run_id, "resume")
    assert sorted(item.path for item in items) == ["resume/a.zip", "resume/b.zip", "resume/start.keras"]
    assert all(item.file_size < 100 for item in items)


def test_without_the_setting_the_store_has_none(store: str) -> None:
    run_id = interrupted(store, 2, **{"track.checkpoints": "local"})
    (phase,) = children(store, run_id)
    assert MlflowClient(store).list_artifacts(phase.info.run_id, "resume") == []


def test_a_machine_without_the_checkpoints_does_not_resume_a_run_that_has_epochs(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would train and log them again."""
    run_id = interrupted(store, 2, **{"track.checkpoints": "local"})
    before = [content(store, run.info.run_id) for run in all_runs(store)]
    monkeypatch.setenv("TINYBENCH_STATE", str(tmp_path / "another machine"))
    message = r"has 2 epochs of transfer, but their checkpoints are not on this machine\. Resume it on the one that"
    with pytest.raises(TrackingError, match=message):
        tinybench.resume(run_id, uri=store)
    assert [content(store, run.info.run_id) for run in all_runs(store)] == before


def test_a_half_sent_checkpoint_is_passed_over(store: str, tmp_path: Path) -> None:
    run_id = interrupted(store, 3)
    (phase,) = children(store, run_id)
    client = MlflowClient(store)
    slot = Path(client.download_artifacts(phase.info.run_id, "resume/b.zip", str(tmp_path)))
    (tmp_path / "b.zip").write_bytes(slot.read_bytes()[:-500])  # that of epoch 3
    client.log_artifact(phase.info.run_id, str(tmp_path / "b.zip"), "resume")
    remote_checkpoints.download(Tracker.at(store), phase.info.run_id, tmp_path / "phase")
    assert [path.name for path in sorted((tmp_path / "phase").glob("epoch-*"))] == ["epoch-0002.npz"]
    assert (tmp_path / "phase" / "start.keras").exists()


def test_a_checkpoint_of_a_stranger_writes_nowhere(store: str, tmp_path: Path) -> None:
    client = MlflowClient(store)
    run_id = client.create_run("0").info.run_id
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("epoch-0001.npz", "x")
        archive.writestr("../escape", "x")
    (tmp_path / "start.keras").touch()
    client.log_artifact(run_id, str(tmp_path / "a.zip"), "resume")
    client.log_artifact(run_id, str(tmp_path / "start.keras"), "resume")
    with pytest.raises(TrackingError, match="are damaged"):
        remote_checkpoints.download(Tracker.at(store), run_id, tmp_path / "deep" / "phase")
    assert not (tmp_path / "deep" / "escape").exists()
    assert not (tmp_path / "deep" / "phase" / "start.keras").exists()
