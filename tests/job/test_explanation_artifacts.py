"""Which maps and filters a phase leaves: those in which something can be seen, and why the others are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import keras
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench import models
from tinybench.config.sections import ExplainConfig, TrackConfig
from tinybench.data.dataset import ImagePool, Split
from tinybench.evaluation.predictions import Predictions
from tinybench.evaluation.split_metrics import evaluate_predictions
from tinybench.job import explanation_artifacts
from tinybench.recipes.resolve import resolve
from tinybench.tracking import tags
from tinybench.tracking.plot_log import PlotLog
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker

SMALL = {"model": "smallcnn", "network.filters": [4, 8], "network.blocks": 1, "head.hidden": "none", "weights": "none"}


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunWriter]:
    with closing(Tracker(TrackConfig(uri=fresh(tmp_path_factory)), may_be_away=True)) as tracker:
        yield tracker.open_parent_run("x")


def log(run: RunWriter, model: keras.Model, side: int) -> tuple[set[str], str]:
    """Log the explanations of a model; return the plots, and what the tag says of the missing ones."""
    images = np.random.default_rng(0).integers(0, 256, (12, side, side, 3), np.uint8)
    labels = (np.arange(12) % 3).astype(np.int32)
    probabilities = model.predict(images, verbose=0)
    evaluation = evaluate_predictions(Predictions.from_probabilities(np.arange(12), labels, probabilities))
    split = Split(ImagePool(images, labels, np.zeros(12, "S16")), np.arange(12), labels)
    names = ["cat", "dog", "ox"]
    explanation_artifacts.log_explanations(PlotLog(run), model, split, evaluation, names, ExplainConfig(images=2))
    assert run.store.flush()
    client = MlflowClient(run.store.uri)
    files = {Path(item.path).name for item in client.list_artifacts(run.id, "figures")}
    pictures = {name.removesuffix(".png") for name in files if name.endswith(".png")}
    assert files == {f"{name}.{kind}" for name in pictures for kind in ("png", "npz")}
    return pictures, client.get_run(run.id).data.tags.get(tags.FIGURES_ABSENT, "")


def own(side: int, layer: keras.layers.Layer) -> keras.Model:
    """A whole model whose backbone is one layer."""
    entry = keras.Input((side, side, 3))
    keras.Model(entry, layer(entry)).save("own.keras")
    chosen = {"model": "own.keras", "weights": "file", "image_size": side, "head.hidden": "none"}
    return models.build(resolve(None, chosen), (side, side, 3), 3)


def test_small_filters_are_left_out(run: RunWriter) -> None:
    model = models.build(resolve(None, SMALL | {"image_size": 32}), (32, 32, 3), 3)
    assert log(run, model, 32) == (
        {"explanations", "feature_maps"},
        "first_filters: filters of 3 by 3 pixels show no pattern",
    )


def test_small_maps_are_left_out(run: RunWriter) -> None:
    pictures, absent = log(run, own(8, keras.layers.Conv2D(4, 3, strides=2)), 8)
    assert pictures == {"explanations"}
    assert absent.startswith("feature_maps: every layer gives maps of only a few pixels; first_filters: ")


def test_large_filters_and_maps_are_shown(run: RunWriter) -> None:
    assert log(run, own(32, keras.layers.Conv2D(4, 7, activation="relu")), 32) == (
        {"explanations", "feature_maps", "first_filters"},
        "",
    )
