"""Training on real digits: what it records, how it stops, and how it goes on."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest
from phase_runs import Training, judged

import tinybench.data
from tinybench.config import run_config
from tinybench.config.sections import DataConfig
from tinybench.core.errors import TrainingError
from tinybench.data.dataset import Dataset
from tinybench.hardware import device
from tinybench.recipes.resolve import resolve
from tinybench.training.progress import EPOCH_METRICS


@pytest.fixture
def digits() -> Dataset:
    return tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)


def settings(**overrides) -> run_config.RunConfig:
    return resolve("quickstart", {"head.hidden": 16, "transfer.epochs": 2, "finetune.epochs": 2} | overrides)


def test_two_epochs_are_recorded_in_full(tmp_path: Path, digits: Dataset) -> None:
    training = Training(tmp_path / "phase", digits, settings(), "transfer")
    _, progress = training.run()
    assert [epoch.number for epoch in progress.epochs] == [1, 2]
    assert progress.epochs == training.epochs
    assert progress.stopped
    for epoch in progress.epochs:
        assert sorted(epoch.metrics) == sorted(EPOCH_METRICS)
        assert all(math.isfinite(value) for value in epoch.metrics.values())
        assert epoch.metrics["train/lr"] == pytest.approx(3e-3)
        speed = epoch.metrics["train/images_per_second"] * epoch.metrics["train/seconds"]
        assert speed == pytest.approx(len(digits.train))
    batches = math.ceil(len(digits.train) / 32)
    assert {epoch for epoch, _, _ in training.steps} == {1, 2}
    for number in (1, 2):
        reported = [step for epoch, step, _ in training.steps if epoch == number]
        assert reported == sorted(set(reported)), "each step is reported once"
        assert reported[-1] == batches
    losses = [epoch.metrics["val/loss"] for epoch in progress.epochs]
    assert progress.best_epoch == 1 + int(np.argmin(losses))
    assert progress.best["val/loss"] == min(losses)


def test_a_loss_that_is_no_number_says_where(tmp_path: Path, digits: Dataset) -> None:
    chosen = settings(**{"finetune.lr": 1e30, "finetune.unfreeze": "all"})
    training = Training(tmp_path / "phase", digits, chosen, "finetune", offset=4)
    with pytest.raises(
        TrainingError, match=r"The loss is (nan|inf) in phase finetune, epoch 5, step \d+: lower finetune\.lr"
    ):
        training.run()
    assert training.epochs == []


@pytest.mark.parametrize("phase", ["transfer", "finetune"])
def test_broken_off_and_resumed_is_the_same_to_the_bit(tmp_path: Path, digits: Dataset, phase: str) -> None:
    device.make_repeatable(0, True)
    chosen = settings(**{f"{phase}.epochs": 3, "head.dropout": 0.3})
    straight = Training(tmp_path / "straight", digits, chosen, phase)
    model, progress = straight.run()

    broken = Training(tmp_path / "broken", digits, chosen, phase)
    broken.store.start.write_bytes(straight.store.start.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        broken.run(stop_after=1)
    resumed = Training(tmp_path / "broken", digits, chosen, phase)
    model_again, progress_again = resumed.run()

    assert judged(progress_again) == judged(progress)
    assert progress_again.best_epoch == progress.best_epoch
    for one, two in zip(model.get_weights(), model_again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [epoch.number for epoch in resumed.epochs] == [1, 2, 3]
    assert resumed.epochs[0] == broken.epochs[0], "the same moment and figures are reported again"


def test_a_finished_phase_is_not_trained_again(tmp_path: Path, digits: Dataset) -> None:
    chosen = settings(**{"transfer.epochs": 1})
    model, progress = Training(tmp_path / "phase", digits, chosen, "transfer").run()
    again = Training(tmp_path / "phase", digits, chosen, "transfer")
    model_again, progress_again = again.run()
    assert progress_again == progress
    assert again.steps == []
    assert again.epochs == progress.epochs
    for one, two in zip(model.get_weights(), model_again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_start_weights_win_when_no_epoch_beats_them(tmp_path: Path, digits: Dataset) -> None:
    chosen = settings(**{"transfer.lr": 10, "transfer.epochs": 1, "head.l2": 0})
    training = Training(tmp_path / "phase", digits, chosen, "transfer", offset=3)
    model, progress = training.run(candidate=True)
    assert progress.best_epoch == 3
    assert progress.epochs[0].number == 4
    assert progress.best["val/loss"] < progress.epochs[0].metrics["val/loss"]
    start = keras.saving.load_model(training.store.start, compile=False)
    for one, two in zip(model.get_weights(), start.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
