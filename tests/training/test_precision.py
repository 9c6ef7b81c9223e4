"""The precision of a phase: measured where it matters, kept, and without a trace on what is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tinybench.data
from tinybench import models
from tinybench.config import run_config
from tinybench.config.sections import DataConfig
from tinybench.data.dataset import Dataset
from tinybench.features import engines
from tinybench.features.feed import PixelFeed
from tinybench.hardware import device
from tinybench.models import seeding
from tinybench.recipes.resolve import resolve
from tinybench.training import phases, precision
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.phase_context import PhaseContext
from tinybench.training.precision import (
    PrecisionChoice,
    choose_precision,
    compare_precisions,
    compute_in,
    mixed_precision_policy,
)
from tinybench.training.steps import Steps


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)


def settings(**overrides: Any) -> run_config.RunConfig:
    return resolve("quickstart", {"head.hidden": 16, "head.dropout": 0.3, "augment.flip": True} | overrides)


def prepared(dataset: Dataset, phase: str = "finetune", **overrides: Any) -> tuple[keras.Model, keras.Model]:
    device.make_repeatable(0, True)
    chosen = settings(**overrides)
    model = models.build(chosen, dataset.shape, 10)
    trainer = phases.build_trainer(model, chosen, phase)
    trainer.optimizer.build(trainer.trainable_variables)
    seeding.seed_model(trainer, 0)
    return model, trainer


def state(trainer: keras.Model) -> list[Any]:
    return [each.numpy().copy() for each in [*trainer.variables, *trainer.optimizer.variables]]


def policies(model: keras.Model) -> list[tuple[str, str]]:
    return [(layer.name, layer.dtype_policy.name) for layer in model._flatten_layers()]


def losses(trainer: keras.Model, dataset: Dataset) -> list[float]:
    """Train an epoch."""
    found: list[float] = []
    Steps(trainer, 32).train(PixelFeed(dataset, 0).training(0), lambda step, values: found.extend(values.tolist()))
    return found


@pytest.fixture
def has_bfloat16(monkeypatch) -> None:
    monkeypatch.setattr(engines, "cpu_has_bfloat16", lambda: True)


@pytest.fixture
def measured(monkeypatch, has_bfloat16) -> dict[str, tuple[Any, float]]:
    """What measuring finds, by precision."""
    found = {"float32": (np.array([2.0, 1.0]), 0.5), "bfloat16": (np.array([2.01, 1.01]), 0.2)}
    monkeypatch.setattr(precision, "_measure_steps", lambda trainer, images, batch_size, name: found[name])
    return found


def test_a_device_without_bfloat16_computes_in_float32(tmp_path: Path, digits: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(engines, "cpu_has_bfloat16", lambda: False)
    _, trainer = prepared(digits)
    choice = choose_precision(
        trainer, PixelFeed(digits, 0), PhaseContext(settings(), "finetune", digits, Checkpoints(tmp_path))
    )
    assert choice == PrecisionChoice("float32", "this device has no bfloat16")


def test_float32_is_what_it_is_where_it_is_asked_for(tmp_path: Path, digits: Dataset, has_bfloat16) -> None:
    _, trainer = prepared(digits)
    choice = choose_precision(
        trainer,
        PixelFeed(digits, 0),
        PhaseContext(settings(precision="float32"), "finetune", digits, Checkpoints(tmp_path)),
    )
    assert choice == PrecisionChoice("float32", "precision is float32")


def test_bfloat16_is_taken_where_it_is_faster_and_agrees(digits: Dataset, measured) -> None:
    choice = compare_precisions(prepared(digits)[1], PixelFeed(digits, 0), 32, 1000)
    assert (choice.precision, choice.float32_step, choice.bfloat16_step) == ("bfloat16", 0.5, 0.2)
    assert choice.reason == "bfloat16 is faster and agrees"
    assert choice.error == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (([2.0, 1.0], 0.5), "bfloat16 is not faster"),
        (([2.0, 1.0], 0.7), "bfloat16 is not faster"),
        (([2.0, 1.03], 0.2), "the losses in bfloat16 differ"),
        (([2.0, np.nan], 0.2), "the losses in bfloat16 differ"),
        (([np.inf, 1.0], 0.2), "the losses in bfloat16 differ"),
    ],
)
def test_bfloat16_that_is_slow_or_wrong_is_not_taken(digits: Dataset, measured, found: Any, reason: str) -> None:
    measured["bfloat16"] = (np.array(found[0]), found[1])
    choice = compare_precisions(prepared(digits)[1], PixelFeed(digits, 0), 32, 1000)
    assert (choice.precision, choice.reason, choice.bfloat16_step) == ("float32", reason, found[1])


def test_little_training_is_not_worth_a_choice(digits: Dataset, measured) -> None:
    del measured["bfloat16"]
    choice = compare_precisions(prepared(digits)[1], PixelFeed(digits, 0), 32, 119)  # of half a second
    assert choice == PrecisionChoice("float32", "too little to train for a choice to pay", 0.5)


def test_the_work_of_a_phase_is_all_steps_of_all_its_epochs(tmp_path: Path, digits: Dataset, measured) -> None:
    steps = -(-len(digits.train) // 32)
    _, trainer = prepared(digits)
    for epochs, worth in [(120 // steps - 1, False), (120 // steps + 1, True)]:
        chosen = settings(**{"finetune.epochs": epochs, "transfer.epochs": 1})
        folder = tmp_path / str(epochs)
        folder.mkdir()
        assert (
            choose_precision(
                trainer, PixelFeed(digits, 0), PhaseContext(chosen, "finetune", digits, Checkpoints(folder))
            ).bfloat16_step
            > 0
        ) is worth


def test_comparing_leaves_everything_as_it_was(digits: Dataset, has_bfloat16, monkeypatch) -> None:
    monkeypatch.setattr(precision, "_MIN_TRAINING_SECONDS", 0.0)
    model, trainer = prepared(digits)
    losses(trainer, digits)  # so that the optimizer and the generators have come somewhere
    trainer.reset_metrics()
    before, was = state(trainer), policies(trainer)
    choice = compare_precisions(trainer, PixelFeed(digits, 0), 32, 10**6)
    assert choice.float32_step > 0
    assert choice.bfloat16_step > 0
    assert choice.error <= precision.MAX_LOSS_DIFFERENCE, choice
    for one, two in zip(before, state(trainer), strict=True):
        np.testing.assert_array_equal(one, two)
    assert policies(trainer) == was
    assert {name for _, name in policies(model)} == {"float32"}


def test_a_phase_trains_the_same_whether_precisions_were_compared_or_not(
    digits: Dataset, has_bfloat16, monkeypatch
) -> None:
    monkeypatch.setattr(precision, "_MIN_TRAINING_SECONDS", 0.0)
    straight, other = prepared(digits, "transfer")[1], prepared(digits, "transfer")[1]
    compare_precisions(other, PixelFeed(digits, 0), 32, 10**6)
    assert losses(straight, digits) == losses(other, digits)
    for one, two in zip(state(straight), state(other), strict=True):
        np.testing.assert_array_equal(one, two)


def test_by_policy_trains_in_bfloat16_and_leaves_a_model_of_float32(tmp_path: Path, digits: Dataset) -> None:
    model, trainer = prepared(digits)
    slow = losses(prepared(digits)[1], digits)
    pixels = digits.train.images(slice(5)).astype(np.float32)
    before, was = np.asarray(model(pixels)), policies(trainer)
    with mixed_precision_policy(trainer):
        computing = {layer.name: layer.compute_dtype for layer in trainer._flatten_layers() if layer.weights}
        assert computing.pop("logits") == "float32"
        assert set(computing.values()) == {"bfloat16"}
        assert {weight.dtype for weight in trainer.weights} == {"float32"}
        assert trainer(pixels).dtype == "float32"
        in_lower = np.asarray(trainer(pixels, training=False))
        fast = losses(trainer, digits)
    assert not np.array_equal(in_lower, before), "it does compute in bfloat16"
    np.testing.assert_allclose(in_lower, before, atol=0.02)
    np.testing.assert_allclose(fast, slow, rtol=precision.MAX_LOSS_DIFFERENCE)
    assert policies(trainer) == was
    after = np.asarray(model(pixels))
    assert not np.array_equal(after, before), "it was trained"
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert {name for _, name in policies(again)} == {"float32"}
    np.testing.assert_allclose(again(pixels), after, atol=1e-6)


def test_by_policy_gives_the_policies_back_when_training_breaks_off(digits: Dataset) -> None:
    model, trainer = prepared(digits)
    pixels = digits.train.images(slice(5)).astype(np.float32)
    before, was = np.asarray(model(pixels)), policies(trainer)
    with pytest.raises(KeyboardInterrupt), mixed_precision_policy(trainer):
        raise KeyboardInterrupt
    assert policies(trainer) == was
    np.testing.assert_array_equal(np.asarray(model(pixels)), before)


def test_statistics_of_batch_normalization_stay_float32(digits: Dataset) -> None:
    x = pixels = keras.Input((16, 16, 3), name="pixels")
    x = keras.layers.Conv2D(4, 3, strides=2, name="block1_conv")(x)
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    keras.Model(pixels, x).save("normalized.keras")
    own = {"model": "normalized.keras", "weights": "file"}
    model, trainer = prepared(digits, **own, **{"finetune.batch_norm": "train", "finetune.unfreeze": "all"})
    layer = model.get_layer("backbone").get_layer("block1_bn")
    before = layer.moving_mean.numpy().copy()
    with mixed_precision_policy(trainer):
        found = losses(trainer, digits)
    assert np.isfinite(found).all()
    assert layer.moving_mean.dtype == "float32"
    assert np.isfinite(layer.moving_mean.numpy()).all()
    assert not np.array_equal(layer.moving_mean.numpy(), before)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_by_policy_trains_on_mixed_batches(digits: Dataset, name: str) -> None:
    slow = losses(prepared(digits, **{f"augment.{name}": 0.4})[1], digits)
    _, trainer = prepared(digits, **{f"augment.{name}": 0.4})
    with mixed_precision_policy(trainer):
        fast = losses(trainer, digits)
    np.testing.assert_allclose(fast, slow, rtol=0.1)


def rewriting() -> bool:
    return bool(tf.config.optimizer.get_experimental_options().get(engines._REWRITE_OPTION, False))


def test_computing_lets_the_processor_rewrite_for_bfloat16_alone(digits: Dataset) -> None:
    _, trainer = prepared(digits)
    was = policies(trainer)
    for name, lower in [("float32", False), ("bfloat16", True)]:
        with compute_in(trainer, name):
            assert rewriting() is lower
            assert policies(trainer) == was
            found = losses(trainer, digits) if lower else []
        assert np.isfinite(found).all()
        assert not rewriting()


def test_computing_goes_by_the_policy_on_a_gpu(digits: Dataset, monkeypatch) -> None:
    _, trainer = prepared(digits)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    for name, policy in [("float32", "float32"), ("bfloat16", "mixed_bfloat16")]:
        with compute_in(trainer, name):
            assert dict(policies(trainer))["hidden"] == policy
            assert not rewriting()


@pytest.mark.parametrize(
    ("details", "has"),
    [
        ({"compute_capability": (9, 0)}, True),
        ({"compute_capability": (8, 0)}, True),
        ({"compute_capability": (7, 5)}, False),
        ({}, False),
    ],
)
def test_a_gpu_has_bfloat16_from_ampere_on(details: dict[str, Any], has: bool, monkeypatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details)
    assert engines.device_has_bfloat16() is has


def test_the_choice_is_kept_for_a_resumed_phase(tmp_path: Path, digits: Dataset, measured, monkeypatch) -> None:
    _, trainer = prepared(digits)
    chosen = settings(**{"finetune.epochs": 1000})
    first = choose_precision(
        trainer, PixelFeed(digits, 0), PhaseContext(chosen, "finetune", digits, Checkpoints(tmp_path))
    )
    assert first.precision == "bfloat16"
    assert [file.name for file in tmp_path.iterdir() if "precision" in file.name] == ["precision.json"]
    assert json.loads((tmp_path / "precision.json").read_text("utf-8"))["precision"] == "bfloat16"
    measured.clear()  # nothing can be measured any more
    monkeypatch.setattr(engines, "cpu_has_bfloat16", lambda: False)
    assert (
        choose_precision(trainer, PixelFeed(digits, 0), PhaseContext(chosen, "finetune", digits, Checkpoints(tmp_path)))
        == first
    )
