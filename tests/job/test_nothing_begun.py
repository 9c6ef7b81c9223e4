"""What fails before training has begun leaves nothing behind: no run, no folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import pytest
from mlflow.tracking import MlflowClient
from stores import fresh

import tinybench
from tinybench.core import paths

CLOSED = "http://127.0.0.1:9"


def write_classifier(path: Path) -> None:
    """A model that is no backbone: it ends in a vector."""
    pixels = keras.Input((16, 16, 3))
    keras.Model(pixels, keras.layers.Dense(2)(keras.layers.Flatten()(pixels))).save(path)


FAILING: list[Mapping[str, Any]] = [
    {"dataset": "folder:nowhere"},
    {"dataset": "folder:empty"},
    {"model": "classifier.keras", "phases": "transfer"},
    {"model": "resnet50", "weights": "imagenet", "image_size": 32, "backbone.mirror": CLOSED},
    {"weights": "none.weights.h5"},
    {"finetune.unfreeze": "no_such_layer"},
    {"device": "gpu:0"},
    {"scratch.epochs": 3},
]


@pytest.mark.parametrize("settings", FAILING, ids=lambda settings: ", ".join(settings))
def test_what_fails_before_training_leaves_no_run_and_no_folder(
    settings: Mapping[str, Any], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = fresh(tmp_path_factory)
    (tmp_path / "empty").mkdir()
    write_classifier(tmp_path / "classifier.keras")
    before = sorted(tmp_path.iterdir())
    usual = {"data.per_class": 10, "data.test_per_class": 5, "track.uri": store, "model": "smallcnn", "image_size": 16}
    with pytest.raises(tinybench.TinybenchError):
        tinybench.train("quickstart", **usual | settings)
    assert not MlflowClient(store).search_runs(["0", "1"])
    runs = paths.state_folder() / "runs"
    assert not runs.exists() or not [*runs.iterdir()]
    created = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert created <= {"cache", "state"}
