"""What a phase is fed with: kept features train as live pixels do, and whatever stands in the way is said."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import tinybench.data
from tinybench import config, models
from tinybench.config import DataConfig
from tinybench.data.dataset import Dataset
from tinybench.training import device, loop, phases, supply
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Progress


class Heard:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.images: list[int] = []

    def features_planned(self, text: str) -> None:
        self.lines.append(text)

    def features_begin(self, images: int) -> None:
        self.total = images

    def features_step(self, images: int) -> None:
        self.images.append(images)

    def features_end(self) -> None:
        self.lines.append("end")


@pytest.fixture
def digits() -> Dataset:
    return tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)


def settings(**overrides) -> config.RunConfig:
    plain = {"augment.rotation": 0, "augment.translation": 0, "precision": "float32", "engine": "keras"}
    short = {"head.hidden": 16, "head.dropout": 0.3, "transfer.epochs": 3, "finetune.epochs": 3, "finetune.unfreeze": 3}
    return config.resolve("quickstart", plain | short | overrides)


def train(
    folder: Path, dataset: Dataset, chosen: config.RunConfig, phase: str = "transfer", heard: Heard | None = None
) -> tuple[keras.Model, Progress, supply.Decision]:
    """A phase as a job runs it."""
    device.repeatable(chosen.seed, True)
    store = Store(folder)
    if not store.start.exists():
        store.save_start(models.build(chosen, dataset.shape, len(dataset.class_names)))
    model = keras.saving.load_model(store.start, compile=False)
    with supply.arranged(model, chosen, phase, dataset, folder, trained=False, watcher=heard or Heard()) as given:
        model, trainer = phases.prepare(model, chosen, phase, given.cut)
        progress = loop.fit(
            trainer,
            given.feed,
            chosen,
            phase,
            store,
            offset=0,
            candidate=False,
            on_epoch=lambda epoch: None,
            on_step=lambda epoch, step, loss: None,
        )
        return model, progress, given.decision


def curve(progress: Progress, name: str = "train/loss") -> list[float]:
    return [epoch.metrics[name] for epoch in progress.epochs]


@pytest.mark.parametrize("phase", ["transfer", "finetune"])
def test_kept_features_train_as_live_pixels_do(tmp_path: Path, digits: Dataset, phase: str) -> None:
    live_model, live, decision = train(tmp_path / "live", digits, settings(**{f"{phase}.views": "live"}), phase)
    assert decision.mode == "live"
    kept_model, kept, decision = train(tmp_path / "kept", digits, settings(), phase)
    assert decision.mode == "bank"
    for name in ("train/loss", "val/loss"):
        np.testing.assert_allclose(curve(kept, name), curve(live, name), atol=1e-4)
    assert curve(kept)[-1] < curve(kept)[0]
    for one, two in zip(kept_model.get_weights(), live_model.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_mixing_rules_the_bank_out_and_says_so(tmp_path: Path, digits: Dataset) -> None:
    for name in ("mixup", "cutmix"):
        heard = Heard()
        _, progress, decision = train(tmp_path / name, digits, settings(**{f"augment.{name}": 0.4}), heard=heard)
        assert decision.mode == "live"
        assert heard.lines == [f"transfer trains on pixels: augment.{name} mixes the images of a batch."]
        assert curve(progress)[-1] < curve(progress)[0]
