"""Batches as the loss takes them: class weights, label smoothing, one-hot labels, and a step written by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from phase_runs import Training, judged

import tinybench.data
from tinybench import models
from tinybench.config import run_config
from tinybench.config.sections import DataConfig, LossConfig
from tinybench.core.errors import ConfigError
from tinybench.data.dataset import Dataset
from tinybench.hardware import device
from tinybench.models import seeding
from tinybench.recipes.resolve import resolve
from tinybench.training import phases
from tinybench.training.trainer import LowLevel


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)


def settings(**overrides: Any) -> run_config.RunConfig:
    plain = {"phases": "scratch", "augment.rotation": 0, "augment.translation": 0, "head.hidden": 16, "head.l2": 0}
    return resolve("quickstart", plain | {"scratch.epochs": 2, "head.dropout": 0} | overrides)


def prepared(dataset: Dataset, **overrides: Any) -> keras.Model:
    device.make_repeatable(0, True)
    chosen = settings(**overrides)
    model = models.build(chosen, dataset.shape, 10)
    trainer = phases.build_trainer(model, chosen, "scratch", train=dataset.train)
    seeding.seed_model(trainer, 0)
    return trainer


def batch(dataset: Dataset, count: int = 48) -> tuple[Any, Any]:
    return dataset.train.images(slice(count)).astype(np.float32), dataset.train.labels[:count]


def loss_of_a_step(trainer: keras.Model, pixels: Any, labels: Any) -> float:
    return float(trainer.train_on_batch(pixels, labels, return_dict=True)["loss"])


def per_image(trainer: keras.Model, pixels: Any, labels: Any) -> np.ndarray:
    found = np.asarray(trainer(pixels, training=False))
    return -np.log(found[np.arange(len(labels)), labels])


def test_keras_s_own_model_is_used_where_nothing_is_asked_for(digits: Dataset) -> None:
    assert type(prepared(digits)).__name__ == "Functional"


@pytest.mark.parametrize("labels", ["sparse", "one-hot"])
def test_weights_of_classes_weigh_the_loss_of_each_image(digits: Dataset, labels: str) -> None:
    weights = tuple(np.linspace(0.5, 3, 10))
    trainer = prepared(digits, **{"loss.class_weights": weights, "loss.labels": labels})
    pixels, known = batch(digits)
    expected = (per_image(trainer, pixels, known) * np.asarray(weights)[known]).mean()
    assert loss_of_a_step(trainer, pixels, known) == pytest.approx(expected, rel=1e-4)


def test_validation_is_not_weighted(digits: Dataset) -> None:
    trainer = prepared(digits, **{"loss.class_weights": ",".join(["9"] * 10)})
    pixels, known = batch(digits)
    expected = per_image(trainer, pixels, known).mean()
    found = trainer.test_on_batch(pixels, known, return_dict=True)["loss"]
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_balanced_weights_are_those_of_scikit_learn(digits: Dataset) -> None:
    rows = np.flatnonzero((digits.train.labels > 0) | (np.arange(len(digits.train)) % 3 == 0))
    uneven = type(digits.train)(digits.train.pool, digits.train.rows[rows], digits.train.labels[rows])
    found = phases.class_weights(LossConfig(class_weights="balanced"), 10, uneven)
    counts = np.bincount(uneven.labels)
    np.testing.assert_allclose(found, len(uneven) / (10 * counts), rtol=1e-6)
    assert found.argmax() == 0


@pytest.mark.parametrize("given", ["1,2,3", (1.0, 2.0)])
def test_weights_for_another_number_of_classes_are_refused(digits: Dataset, given: Any) -> None:
    with pytest.raises(ConfigError, match=r"`loss\.class_weights`: expected 10 numbers, one a class, got \d"):
        prepared(digits, **{"loss.class_weights": given})


@pytest.mark.parametrize("given", ["some", "-1,2", "1"])
def test_weights_that_are_none(given: str) -> None:
    with pytest.raises(ConfigError, match=r"`loss\.class_weights`: expected balanced or at least two numbers"):
        settings(**{"loss.class_weights": given})


def test_smoothing_moves_a_share_of_each_label_to_all_classes(digits: Dataset) -> None:
    trainer = prepared(digits, **{"loss.smoothing": 0.2})
    pixels, known = batch(digits)
    logs = -np.log(np.asarray(trainer(pixels, training=False)))
    soft = np.eye(10)[known] * 0.8 + 0.02
    assert loss_of_a_step(trainer, pixels, known) == pytest.approx((soft * logs).sum(axis=1).mean(), rel=1e-4)


def test_sparse_and_one_hot_labels_train_alike(digits: Dataset) -> None:
    curves = []
    for labels in ("sparse", "one-hot"):
        trainer = prepared(digits, **{"loss.labels": labels})
        curves.append([loss_of_a_step(trainer, *batch(digits)) for _ in range(4)])
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


@pytest.mark.parametrize("chosen", [{}, {"loss.smoothing": 0.1}, {"loss.class_weights": "balanced"}])
def test_the_step_written_by_hand_is_that_of_keras(digits: Dataset, chosen: dict[str, Any]) -> None:
    """The same network twice: once with its own step, once with Keras's."""
    own = prepared(digits, model="shallow", **chosen)
    assert isinstance(own, LowLevel)
    known = prepared(digits, model="shallow", **chosen)
    known.train_step = lambda data: keras.Model.train_step(known, known.prepare_batch(data))
    for _ in range(4):
        one, two = (trainer.train_on_batch(*batch(digits), return_dict=True) for trainer in (own, known))
        assert {name: float(value) for name, value in one.items()} == pytest.approx(
            {name: float(value) for name, value in two.items()}, rel=1e-4
        )
    for mine, theirs in zip(own.get_weights(), known.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "chosen",
    [
        {"model": "shallow"},
        {"optimizer.name": "sgd", "optimizer.momentum": 0.9, "optimizer.nesterov": True},
        {"optimizer.name": "adamw", "optimizer.weight_decay": 0.01},
        {"scratch.schedule": "cosine", "scratch.warmup": 1, "scratch.epochs": 4},
        {"loss.smoothing": 0.1, "loss.class_weights": "balanced"},
        {"model": "resnet20", "network.filters": "4,8", "network.blocks": 1},
    ],
)
def test_the_one_loop_drives_every_way_to_train_and_resumes_it(digits: Dataset, tmp_path: Any, chosen: Any) -> None:
    given = settings(**{"scratch.epochs": 3, "scratch.lr": 3e-3} | chosen)
    device.make_repeatable(0, True)
    whole, progress = Training(tmp_path / "whole", digits, given, "scratch").run()
    device.make_repeatable(0, True)
    with pytest.raises(KeyboardInterrupt):
        Training(tmp_path / "broken", digits, given, "scratch").run(stop_after=2)
    again, resumed = Training(tmp_path / "broken", digits, given, "scratch").run()
    losses = [epoch.metrics["train/loss"] for epoch in progress.epochs]
    assert losses[-1] < losses[0]
    assert judged(resumed) == judged(progress)
    for mine, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
