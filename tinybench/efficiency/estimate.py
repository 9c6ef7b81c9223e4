"""What a run will take, before anybody starts it: counted where it can be, else measured on a few steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import psutil

from tinybench import data, models
from tinybench.config import RunConfig
from tinybench.data import splits
from tinybench.data.dataset import Card
from tinybench.efficiency import cost
from tinybench.errors import AbsentError
from tinybench.training import device, phases

_TIMED_STEPS = 3
_ENOUGH_SECONDS = 4.0  # a slow step needs no second opinion


@dataclass(frozen=True)
class PhaseEstimate:
    """One phase.

    Attributes:
        epochs: At most so many.
        steps: Training steps an epoch.
        trainable: Parameters that are trained.
        seconds: At most so long, training and validation.
    """

    epochs: int
    steps: int
    trainable: int
    seconds: float


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
    found: dict[str, PhaseEstimate] = {}
    for phase in config.phases:
        model, trainer = phases.prepare(model, config, phase)
        epochs = getattr(config, phase).epochs
        steps = math.ceil(images[0] / config.batch_size)
        train, forward = _time_steps(trainer, config, shape, classes)
        seconds = epochs * (steps * train + images[1] / config.batch_size * forward)
        seconds += images[2] / config.batch_size * forward
        trainable = int(cost.parameters(model, trainer)["efficiency/parameters_trainable"])
        found[phase] = PhaseEstimate(epochs, steps, trainable, seconds)
    pixels = sum(images) * math.prod(shape)
    return Estimate(
        images,
        counted,
        model.count_params(),
        found,
        int(psutil.Process().memory_info().rss),
        pixels + _bytes_of_artifacts(config, model.count_params(), found),
    )


def _counts(config: RunConfig) -> tuple[tuple[int, int, int], int, tuple[int, int, int], bool]:
    try:
        dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size, download=False)
    except AbsentError:
        return _official(config, data.card(config.dataset))
    return (
        (len(dataset.train), len(dataset.validation), len(dataset.test)),
        len(dataset.class_names),
        dataset.shape,
        True,
    )


def _official(config: RunConfig, card: Card) -> tuple[tuple[int, int, int], int, tuple[int, int, int], bool]:
    if not (card.classes and card.train and card.test and card.shape):
        raise AbsentError(f"{card.name} has no official figures to plan by.")
    wanted = config.data.classes
    if isinstance(wanted, int):
        splits.choose_classes(tuple(map(str, range(card.classes))), wanted)  # no more than there are
    classes = wanted if isinstance(wanted, int) else len(wanted) if wanted else card.classes
    train = min(card.train // card.classes, config.data.per_class or card.train) * classes
    test = min(card.test // card.classes, config.data.test_per_class or card.test) * classes
    validation = round(train * config.data.validation)
    return (train - validation, validation, test), classes, card.shape, False


def _time_steps(
    trainer: keras.Model, config: RunConfig, shape: tuple[int, int, int], classes: int
) -> tuple[float, float]:
    """Seconds of a training step and of a forward pass on one batch, the compiling call left out."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (config.batch_size, *shape), dtype=np.uint8)
    labels = generator.integers(0, classes, config.batch_size)
    train = _seconds(lambda: trainer.train_on_batch(pixels, labels))
    return train, _seconds(lambda: trainer.predict_on_batch(pixels))


def _seconds(step: Callable[[], object]) -> float:
    step()
    began, done, passed = time.perf_counter(), 0, 0.0
    while done < _TIMED_STEPS and passed < _ENOUGH_SECONDS:
        step()
        done, passed = done + 1, time.perf_counter() - began
    return passed / done


def _bytes_of_artifacts(config: RunConfig, parameters: int, found: dict[str, PhaseEstimate]) -> int:
    """Start, best and logged models at 4 bytes a parameter; checkpoints with Adam's two moments."""
    models_kept = (2 * len(found) + 1) * 4 * parameters
    largest = max(estimated.trainable for estimated in found.values())
    return models_kept + (config.checkpoint.keep * 3 * (1 + len(found)) + 1) * 4 * largest
