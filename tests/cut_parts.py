"""Compares a whole model with the parts that a cut makes of it."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.config import run_config
from tinybench.features.cut import Cut
from tinybench.recipes.resolve import resolve
from tinybench.training import phases

PLAIN = {"augment.rotation": 0, "augment.translation": 0, "head.dropout": 0, "precision": "float32"}


LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)


def chosen(**overrides) -> run_config.RunConfig:
    return resolve("quickstart", PLAIN | overrides)


def pixels(size: int = 16, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 256, (len(LABELS), size, size, 3)).astype(np.float32)


def numbers(tensor) -> NDArray[np.float32]:
    return keras.ops.convert_to_numpy(tensor)


def features_of(cut: Cut, images: NDArray[np.float32]) -> NDArray[np.float32]:
    return numbers(cut.extractor(images, training=False))


def same_variables(one: keras.Model, two: keras.Model) -> bool:
    return [id(each) for each in one.trainable_variables] == [id(each) for each in two.trainable_variables]


def fits(model: keras.Model, settings: run_config.RunConfig, phase: str, tolerance: float = 1e-6) -> str:
    """Compare the whole with its two parts, and what each trains; returns the layer of the cut."""
    cut = phases.find_phase_cut(model, settings, phase)
    assert cut is not None
    images = pixels(model.input_shape[1])
    live = phases.build_trainer(model, settings, phase)
    trainer = phases.build_trainer(model, settings, phase, cut)
    features = features_of(cut, images)
    assert features.shape[1:] == cut.shape == trainer.input_shape[1:]
    expected = numbers(model(images, training=False))
    assert np.ptp(expected, axis=0).max() > 100 * tolerance, "all images look alike to this model"
    np.testing.assert_allclose(numbers(trainer(features, training=False)), expected, atol=tolerance)
    assert same_variables(trainer, live)
    assert trainer.trainable_variables
    frozen = {id(weight) for weight in cut.extractor.weights}
    assert not frozen & {id(weight) for weight in trainer.trainable_variables}
    return cut.layer


def apart(model: keras.Model, settings: run_config.RunConfig, phase: str, steps: int = 3) -> float:
    """Train with features that were computed once and with pixels, from one start: how far apart the weights are."""
    start = model.get_weights()
    cut = phases.find_phase_cut(model, settings, phase)
    assert cut is not None
    images = pixels(model.input_shape[1])
    features = features_of(cut, images)
    live = trained(model, phases.build_trainer(model, settings, phase), images, steps)
    model.set_weights(start)
    kept = trained(model, phases.build_trainer(model, settings, phase, cut), features, steps)
    model.set_weights(start)
    assert max(np.abs(one - two).max() for one, two in zip(live, start, strict=True)) > 1e-4, "nothing was trained"
    return max(float(np.abs(one - two).max()) for one, two in zip(live, kept, strict=True))


def trained(
    model: keras.Model, trainer: keras.Model, given_input: NDArray[np.float32], steps: int
) -> list[NDArray[np.float32]]:
    trainer.run_eagerly = True  # a few steps are done before they would be compiled
    for _ in range(steps):
        trainer.train_on_batch(given_input, LABELS)
    return model.get_weights()
