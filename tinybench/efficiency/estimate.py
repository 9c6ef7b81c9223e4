"""What a run will take, before anybody starts it: counted where it can be, else measured on a few steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import psutil
from numpy.typing import NDArray

from tinybench import data, models
from tinybench.config.run_config import RunConfig
from tinybench.core import cache
from tinybench.core.errors import AbsentError
from tinybench.data import splits
from tinybench.data.dataset import DatasetCard
from tinybench.efficiency import cost_metrics
from tinybench.features import engines, phase_banks
from tinybench.hardware import device
from tinybench.training import feed_selection, phases, precision
from tinybench.training.steps import Steps, ArraySource

_TIMED_STEPS = 3
_ENOUGH_SECONDS = 4.0  # a slow step needs no second opinion


@dataclass(frozen=True)
class PhaseEstimate:
    """One phase.

    Attributes:
        epochs: At most so many.
        steps: Training steps an epoch.
        trainable: Parameters that are trained.
        seconds: At most so long, over all folds: computing features, training, validation and the test images.
        features: Bytes of features that are kept; 0 where it trains on pixels.
    """

    epochs: int
    steps: int
    trainable: int
    seconds: float
    features: int = 0


@dataclass(frozen=True)
class Estimate:
    """A whole run.

    Attributes:
        images: Training images, validation images and test images.
        counted: The data are there and were counted; else these are the official figures.
        parameters: Of the whole model.
        phases: By name.
        memory: Bytes of this process after the timed steps.
        disk: Bytes of decoded images, checkpoints and artifacts.
    """

    images: tuple[int, int, int]
    counted: bool
    parameters: int
    phases: dict[str, PhaseEstimate]
    memory: int
    disk: int


def estimate(config: RunConfig) -> Estimate:
    """Count images and parameters, and time a few real steps on made pixels.

    Nothing is downloaded: absent data are counted by their official figures, weights are random.

    Raises:
        DataError: a folder that is absent, or data that do not allow what is asked.
        ModelError: the model cannot be built.
    """
    images, classes, shape, counted = _counts(config)
    device.use(config.device)
    model = models.build(config, shape, classes, pretrained=False)
    found = {phase: _phase(model, config, phase, images, shape, classes) for phase in config.phases}
    pixels = sum(images) * math.prod(shape)
    return Estimate(
        images,
        counted,
        model.count_params(),
        found,
        int(psutil.Process().memory_info().rss),
        pixels
        + sum(estimated.features for estimated in found.values())
        + _bytes_of_artifacts(config, model.count_params(), found),
    )


def _phase(
    model: keras.Model,
    config: RunConfig,
    phase: str,
    images: tuple[int, int, int],
    shape: tuple[int, int, int],
    classes: int,
) -> PhaseEstimate:
    """Features once an image and view where they are kept, by Keras: a faster engine may be found."""
    epochs = config.phase_settings(phase).epochs
    steps = math.ceil(images[0] / config.batch_size)
    cut = None if feed_selection.reason_against_bank(config, phase) else phases.find_phase_cut(model, config, phase)
    looks = images[0] * (1 + phase_banks.view_count(config, phase)) + images[1]
    kept = 0 if cut is None else looks * math.prod(cut.shape) * (4 if config.precision == "float32" else 2)
    if kept > cache.budget(config.cache.budget):
        cut, kept = None, 0
    trainer = phases.build_trainer(model, config, phase, cut)
    train, forward = _time_steps(trainer, config, trainer.input_shape[1:], classes)
    once = 0.0 if cut is None else _time_forward(cut.extractor, config, shape)
    seconds = epochs * (steps * train + images[1] / config.batch_size * forward)
    seconds += images[2] * (once + forward) / config.batch_size
    seconds = (config.data.folds or 1) * seconds + looks * once / config.batch_size  # folds share plain features
    trainable = int(cost_metrics.parameters(model, trainer)["efficiency/parameters_trainable"])
    return PhaseEstimate(epochs, steps, trainable, seconds, kept)


def _counts(config: RunConfig) -> tuple[tuple[int, int, int], int, tuple[int, int, int], bool]:
    try:
        dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size, download=False)
    except AbsentError:
        return _official(config, data.card(config.dataset))
    if config.data.folds:
        dataset = splits.make_fold(dataset, 0, config.data.folds, config.seed)
    return (
        (len(dataset.train), len(dataset.validation), len(dataset.test)),
        len(dataset.class_names),
        dataset.shape,
        True,
    )


def _official(config: RunConfig, card: DatasetCard) -> tuple[tuple[int, int, int], int, tuple[int, int, int], bool]:
    if not (card.classes and card.train and card.test and card.shape):
        raise AbsentError(f"{card.name} has no official figures to plan by.")
    wanted = config.data.classes
    if isinstance(wanted, int):
        splits.select_classes(tuple(map(str, range(card.classes))), wanted)  # no more than there are
    classes = wanted if isinstance(wanted, int) else len(wanted) if wanted else card.classes
    train = min(card.train // card.classes, config.data.per_class or card.train) * classes
    test = min(card.test // card.classes, config.data.test_per_class or card.test) * classes
    validation = round(train * (1 / config.data.folds if config.data.folds else config.data.validation))
    return (train - validation, validation, test), classes, card.shape, False


def _time_steps(trainer: keras.Model, config: RunConfig, shape: tuple[int, ...], classes: int) -> tuple[float, float]:
    """Seconds of a training step and of a forward pass on one batch, the compiling call left out."""
    inputs = _made(config, shape)
    labels = np.random.default_rng(0).integers(0, classes, config.batch_size)
    steps = Steps(trainer, config.batch_size)
    batch = ArraySource(inputs, labels)
    with precision.compute_in(trainer, "float32"):
        train = _seconds(lambda: steps.train(batch, lambda step, losses: None))
        return train, _seconds(lambda: steps.evaluate(batch))


def _time_forward(extractor: keras.Model, config: RunConfig, shape: tuple[int, ...]) -> float:
    """Seconds of the frozen part on one batch."""
    engine, pixels = engines.KerasEngine(extractor), _made(config, shape).astype(np.float32)
    return _seconds(lambda: engine(pixels))


def _made(config: RunConfig, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (config.batch_size, *shape), dtype=np.uint8)


def _seconds(step: Callable[[], object]) -> float:
    step()
    began, done, passed = time.perf_counter(), 0, 0.0
    while done < _TIMED_STEPS and passed < _ENOUGH_SECONDS:
        step()
        done, passed = done + 1, time.perf_counter() - began
    return passed / done


def _bytes_of_artifacts(config: RunConfig, parameters: int, found: dict[str, PhaseEstimate]) -> int:
    """Start, best and logged models at 4 bytes a parameter; checkpoints with Adam's two moments."""
    folds = config.data.folds or 1
    models_kept = folds * (2 * len(found) + 1) * 4 * parameters
    largest = max(estimated.trainable for estimated in found.values())
    return models_kept + (config.checkpoint.keep * 3 * (1 + len(found)) + 1) * 4 * largest
