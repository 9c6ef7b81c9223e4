"""Real transfer learning: a backbone that was trained on ImageNet, real photographs, both phases."""

from __future__ import annotations

import hashlib
from pathlib import Path

import keras
import numpy as np
import pytest
from stores import elsewhere, fresh

import tinybench.data
from tinybench.config.sections import DataConfig
from tinybench.tracking import run_record
from tinybench.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def backbone(real_data: Path) -> Path:
    return real_data / "efficientnet_lite0_imagenet_notop.keras"


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker.at(fresh(tmp_path_factory))


@pytest.fixture(scope="module")
def done(real_data: Path, backbone: Path, tracker: Tracker, tmp_path_factory: pytest.TempPathFactory):
    with elsewhere(tmp_path_factory):
        return tinybench.train(
            model=str(backbone),
            dataset="tiny-imagenet",
            image_size=96,
            batch_size=16,
            **{"data.root": str(real_data), "data.classes": 5, "data.validation": 0.2, "track.uri": tracker.uri},
            **{"transfer.epochs": 4, "transfer.lr": 2e-3, "finetune.epochs": 1},
            **{"track.costs": "off", "track.pictures": False, "explain.images": 0},  # other tests are about them
        )


def _backbone(tracker: Tracker, run_id: str) -> list[np.ndarray]:
    return run_record.load_final_model(tracker, run_id).get_layer("backbone").get_weights()


def test_features_of_imagenet_tell_photographs_apart(done: tinybench.Result) -> None:
    assert done.phases["transfer"].metrics["test/accuracy"] > 0.6  # five classes: .2 by chance


def test_the_backbone_s_file_is_known_by_its_hash(done: tinybench.Result, tracker: Tracker, backbone: Path) -> None:
    tags = tracker.get_run(done.run_id).data.tags
    assert tags["model.sha256"] == hashlib.sha256(backbone.read_bytes()).hexdigest()
    assert "weights.sha256" not in tags


def test_fine_tuning_ends_no_worse_on_what_it_selects_by(done: tinybench.Result) -> None:
    before, after = (done.phases[name].metrics["best/val_loss"] for name in ("transfer", "finetune"))
    assert after <= before


def test_a_frozen_backbone_does_not_move(done: tinybench.Result, tracker: Tracker, backbone: Path) -> None:
    for kept, original in zip(
        _backbone(tracker, done.phases["transfer"].run_id),
        keras.saving.load_model(backbone, compile=False).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(kept, original)


def test_fine_tuning_moves_the_end_of_the_backbone_alone(done: tinybench.Result, tracker: Tracker) -> None:
    runs = [done.phases[name].run_id for name in ("transfer", "finetune")]
    before, after = (run_record.load_final_model(tracker, run_id).get_layer("backbone") for run_id in runs)
    moved = [
        any(not np.array_equal(a, b) for a, b in zip(old.get_weights(), new.get_weights(), strict=True))
        for old, new in zip(before.layers, after.layers, strict=True)
    ]
    fifth = len(moved) - -(-len(moved) // 5)
    if done.phases["finetune"].best_epoch > done.phases["transfer"].last_epoch:
        assert any(moved[fifth:])
    assert not any(moved[:fifth])


def test_the_logged_model_names_a_photograph(done: tinybench.Result, real_data: Path) -> None:
    dataset = tinybench.data.load("tiny-imagenet", DataConfig(root=str(real_data), classes=5), 0, image_size=96)
    answer = done.load_model().predict({"image": [*dataset.test.images(slice(0, 40))]}, params={"top_k": 1})
    told = [dataset.class_names.index(labels[0]) for labels in answer["labels"]]
    assert np.mean(np.equal(told, dataset.test.labels[:40])) > 0.5
