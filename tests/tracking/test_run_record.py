"""What a run records of itself is enough to make it again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from tinybench import data, models
from tinybench.config import run_config as config
from tinybench.config.run_config import RunConfig
from tinybench.core.errors import DataError, TrackingError
from tinybench.data.dataset import Dataset
from tinybench.recipes.resolve import resolve
from tinybench.tracking import provenance, run_record
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.progress import EPOCH_METRICS

SMALL = {"data.per_class": 4, "data.test_per_class": 2}


@pytest.fixture(scope="module")
def chosen() -> RunConfig:
    unusual = {"data.classes": ("3", "1"), "finetune.unfreeze": 0.5, "head.hidden": None, "track.tags": "a=b,c=d"}
    return resolve("quickstart", SMALL | unusual)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return data.load("digits", resolve("quickstart", SMALL).data, 0, image_size=16)


@pytest.fixture
def family(tracker: Tracker, digits: Dataset) -> tuple[RunWriter, RunWriter, RunWriter]:
    """A parent, with its data, and its two phases."""
    parent = tracker.open_parent_run("x")
    run_record.log_data(parent, digits)
    return parent, tracker.create_phase_run(parent, "transfer", "x"), tracker.create_phase_run(parent, "finetune", "x")


@pytest.fixture
def keep(tmp_path: Path, chosen: RunConfig):
    """Log a fresh model as the best of a phase that is finished."""

    def call(child: RunWriter) -> keras.Model:
        model = models.build(chosen, (8, 8, 1), 10)
        run_record.log_checkpoints(child, model, Checkpoints(tmp_path / child.id))
        child.end("FINISHED")
        return model

    return call


def read(run: RunWriter) -> MlflowRun:
    """The run as the store has it, once everything is sent."""
    assert run.store.flush()
    return MlflowClient(run.store.uri).get_run(run.id)


def text(tracker: Tracker, run: RunWriter, path: str, folder: Path) -> str:
    return tracker.download_artifact(read(run).info.run_id, path, folder).read_text()


def same(one: keras.Model, other: keras.Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_the_configuration_can_be_read_back(tracker, run, chosen):
    run_record.log_configuration(run, chosen, None)
    again = run_record.read_config(tracker, read(run))
    assert again == config.replace(chosen, {"track.uri": tracker.uri}), "the store is where it was found"
    assert again.identity() == chosen.identity()
    assert read(run).data.params["data.classes"] == "3,1"
    assert read(run).data.tags["tinybench.config_hash"] == chosen.identity()
    assert "tinybench.source_run" not in read(run).data.tags


def test_the_source_is_a_tag(run, chosen):
    run_record.log_configuration(run, chosen, "abc")
    assert read(run).data.tags["tinybench.source_run"] == "abc"


def test_no_secret_is_in_the_configuration_s_file(tracker, run, chosen, tmp_path):
    run_record.log_configuration(run, config.replace(chosen, {"track.uri": "http://me:hush@host"}), None)
    assert "hush" not in text(tracker, run, "config.json", tmp_path)


@pytest.mark.parametrize("diff", ["", "+++ a\n"])
def test_code_that_was_not_committed_is_kept(tracker, run, chosen, tmp_path, monkeypatch, diff):
    monkeypatch.setattr(provenance, "uncommitted_diff", lambda: diff)
    run_record.log_configuration(run, chosen, None)
    kept = [item.path for item in tracker.client.list_artifacts(read(run).info.run_id, "source")]
    assert kept == (["source/dirty.diff"] if diff else [])
    if diff:
        assert text(tracker, run, "source/dirty.diff", tmp_path) == diff


def test_a_deleted_run_has_no_model_until_it_is_restored(tracker, run):
    client, stored = MlflowClient(tracker.uri), read(run)
    run_id = stored.info.run_id
    assert run_record.find_final_run(tracker, run_id).info.run_id == run_id
    client.delete_run(run_id)
    with pytest.raises(TrackingError, match=f"is deleted. Restore it with: .* mlflow runs restore --run-id {run_id}"):
        run_record.find_final_run(tracker, run_id)
    client.restore_run(run_id)
    if stored.info.experiment_id != "0":  # which cannot be deleted
        client.delete_experiment(stored.info.experiment_id)
        with pytest.raises(TrackingError, match=r"is deleted. Restore it with: .* mlflow experiments restore"):
            run_record.find_final_run(tracker, run_id)
        client.restore_experiment(stored.info.experiment_id)


def test_a_run_of_somebody_else_has_no_configuration(tracker, run):
    with pytest.raises(TrackingError, match=rf"Run {run.id} was not made by tinybench: it has no config\.json"):
        run_record.read_config(tracker, read(run))


def test_a_phase_can_be_compared_with_others(run, chosen, digits):
    run_record.log_phase_inputs(run, chosen, digits)
    assert read(run).data.params["head.hidden"] == "none"
    assert read(run).data.tags["tinybench.config_hash"] == chosen.identity()
    assert [linked.dataset.name for linked in read(run).inputs.dataset_inputs] == ["digits"]


def test_the_data_are_recorded(tracker, run, digits, tmp_path):
    run_record.log_data(run, digits)
    assert read(run).data.tags["data.fingerprint"] == digits.fingerprint
    assert len(read(run).inputs.dataset_inputs) == 1
    kept = json.loads(text(tracker, run, "data.json", tmp_path))
    assert kept["images"] == {"train": 30, "validation": 10, "test": 20}
    assert kept["images_by_class"]["test"] == {str(digit): 2 for digit in range(10)}


def test_a_resumed_run_finds_the_same_data(run, digits):
    for _ in range(2):
        run_record.log_data(run, digits)
    assert len(read(run).inputs.dataset_inputs) == 1


def test_a_resumed_run_refuses_other_data(tracker, run, digits):
    run_record.log_data(run, digits)
    run = tracker.reopen(read(run))
    with pytest.raises(DataError, match="not those that the run began with: restore them, or start a new run"):
        run_record.log_data(run, dataclasses.replace(digits, split_hash="0" * 64))


def test_the_best_model_and_the_checkpoints_are_artifacts(tracker, run, keep, tmp_path):
    folder = Checkpoints(tmp_path / run.id).folder
    (folder / "epoch-0002.npz").write_bytes(b"a checkpoint")
    (folder / "best-0001.npz").write_bytes(b"weights that best.keras holds too")
    keep(run)
    kept = {item.path for item in tracker.client.list_artifacts(read(run).info.run_id, "checkpoints")}
    assert kept == {"checkpoints/best.keras", "checkpoints/epoch-0002.npz"}


def test_fine_tuning_starts_from_the_transfer_phase(tracker, family, keep, digits):
    parent, transfer, finetune = family
    first, second = keep(transfer), keep(finetune)
    assert not same(first, second)
    assert same(run_record.load_best_model(tracker, parent.id, digits), first)
    assert same(run_record.load_best_model(tracker, finetune.id, digits), second), "a phase that is named is taken"


def test_a_run_is_judged_by_its_last_phase(tracker, family, keep):
    parent, transfer, finetune = family
    first, second = keep(transfer), keep(finetune)
    assert same(run_record.load_final_model(tracker, parent.id), second)
    assert same(run_record.load_final_model(tracker, transfer.id), first)


def test_a_run_with_one_phase_is_judged_by_it(tracker, keep):
    parent = tracker.open_parent_run("x")
    model = keep(tracker.create_phase_run(parent, "transfer", "x"))
    assert same(run_record.load_final_model(tracker, parent.id), model)


def test_a_phase_that_failed_is_not_what_a_run_is_judged_by(tracker, family, keep):
    parent, transfer, finetune = family
    first = keep(transfer)
    finetune.end("FAILED")
    assert same(run_record.load_final_model(tracker, parent.id), first)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"shape": (8, 8, 3)}, r"takes \(8, 8, 1\) and knows 10 classes; the data are \(8, 8, 3\) with 10 classes"),
        ({"class_names": ("0", "1", "2")}, r"knows 10 classes; the data are \(8, 8, 1\) with 3 classes"),
        ({"class_names": tuple("9876543210")}, "its class 0 is '0', that of the data is '9'"),
    ],
)
def test_weights_for_other_data(tracker, family, keep, digits, other, reason):
    parent, transfer, _ = family
    keep(transfer)
    with pytest.raises(DataError, match=reason):
        run_record.load_best_model(tracker, parent.id, dataclasses.replace(digits, **other))


def test_a_run_without_weights(tracker, family, run):
    parent, transfer, _ = family
    for found, without in [(run, run), (parent, parent), (transfer, transfer)]:
        with pytest.raises(TrackingError, match=rf"Run {without.id} holds no best weights: give a run whose transfer"):
            run_record.load_final_model(tracker, found.id)


def test_a_finished_phase_is_read_back(tracker, run, keep):
    model = keep(run)
    for epoch in (3, 4, 5):
        run.log_metrics(dict.fromkeys(EPOCH_METRICS, 0.5), epoch, 1000 * epoch)
    figures = {"test/loss": 0.25, "best/epoch": 4.0, "best/val_loss": 0.5, "efficiency/training_seconds": 1.5}
    run.log_metrics(figures, 5, 5000)
    again, result = run_record.read_finished_phase(tracker, read(run))
    assert same(again, model)
    assert (result.run_id, result.last_epoch, result.best_epoch) == (run.id, 5, 4)
    assert result.metrics == figures
