"""Choose the precision that training computes in: bfloat16 if the device has it, it is faster and the losses agree.

Weights, optimizer moments and metric sums stay in float32. The choice is measured on real steps from the
same state, and written beside the checkpoints, so that a resumed phase computes as it began.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybench.config.run_config import RunConfig
from tinybench.core import atomic
from tinybench.data import augment
from tinybench.features import engines
from tinybench.features.batches import BatchSource
from tinybench.features.feed import Feed
from tinybench.models import mixed_precision
from tinybench.training import kernels
from tinybench.training.phase_context import PhaseContext
from tinybench.training.steps import Steps, step_count

# Largest relative difference of the first steps' losses from those in float32
MAX_LOSS_DIFFERENCE = 0.02

_MIXING_LAYERS = ("mix_up", "cut_mix")

_STEPS = 4
_PASSES = 3
_GAIN = 0.95  # bfloat16 must take less than this share of a step's time, so that noise does not decide
_MIN_TRAINING_SECONDS = 60.0  # below this many seconds of training, a second trace costs more than it can save
_FILE = "precision.json"


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision of a phase.

    Attributes:
        precision: float32 or bfloat16.
        reason: Why it was chosen.
        float32_step, bfloat16_step: Seconds of a step; 0 if it was not timed.
        error: Largest relative difference of the first steps' losses from those in float32.
    """

    precision: str
    reason: str
    float32_step: float = 0.0
    bfloat16_step: float = 0.0
    error: float = 0.0


def choose_precision(trainer: keras.Model, feed: Feed, context: PhaseContext) -> PrecisionChoice:
    """Return the precision of a phase: as it was chosen before, else by measuring.

    Args:
        trainer: The compiled model; its state is left unchanged.
        feed: What it is trained on.
        context: The phase; the choice is read from and written to its checkpoint folder.
    """
    path = context.checkpoints.folder / _FILE
    if path.exists():
        return PrecisionChoice(**json.loads(path.read_text("utf-8")))
    config = context.config
    steps = context.settings.epochs * step_count(feed.count, config.batch_size)
    choice = _choose(trainer, feed, config, steps)
    atomic.write_text(path, json.dumps(asdict(choice)))
    return choice


@contextmanager
def compute_in(trainer: keras.Model, precision: str) -> Iterator[None]:
    """Let a model compute in a precision inside the block; its functions must be traced inside as well."""
    if precision == "float32":
        reduced: AbstractContextManager[None] = nullcontext()
    elif tf.config.get_visible_devices("GPU"):
        reduced = mixed_precision_policy(trainer)
    else:
        reduced = engines.rewrite_to_bfloat16()
    with reduced, kernels.fast_kernels(trainer):
        yield


def mixed_precision_policy(trainer: keras.Model) -> AbstractContextManager[None]:
    """Return a context in which a model trains by Keras's mixed-precision policy.

    Random layers keep their precision, so that they draw the same numbers in both.
    """
    return mixed_precision.override_dtypes(trainer, "bfloat16", _is_random)


def _is_random(layer: keras.layers.Layer) -> bool:
    return (
        isinstance(layer, keras.layers.Dropout) or layer.name.startswith(augment.PREFIX) or layer.name in _MIXING_LAYERS
    )


def _choose(trainer: keras.Model, feed: Feed, config: RunConfig, steps: int) -> PrecisionChoice:
    if config.precision == "float32":
        return PrecisionChoice("float32", "precision is float32")
    if not engines.device_has_bfloat16():
        return PrecisionChoice("float32", "this device has no bfloat16")
    return compare_precisions(trainer, feed, config.batch_size, steps)


def compare_precisions(trainer: keras.Model, feed: Feed, batch_size: int, steps: int) -> PrecisionChoice:
    """Run the same steps from the same state in both precisions, unless training takes less than a minute.

    Args:
        trainer: The compiled model; its state is left unchanged.
        feed: What it is trained on.
        batch_size: Images of a step.
        steps: Steps of the whole phase.
    """
    images = _FirstImages(feed.training(0), _STEPS * batch_size)
    expected, float32_step = _measure_steps(trainer, images, batch_size, "float32")
    if steps * float32_step < _MIN_TRAINING_SECONDS:
        return PrecisionChoice("float32", "too little to train for a choice to pay", float32_step)
    losses, bfloat16_step = _measure_steps(trainer, images, batch_size, "bfloat16")
    distance = np.abs(losses - expected) / np.maximum(np.abs(expected), 1e-6)
    error = float(np.nan_to_num(distance, nan=1.0, posinf=1.0).max())
    if error > MAX_LOSS_DIFFERENCE:
        return PrecisionChoice("float32", "the losses in bfloat16 differ", float32_step, bfloat16_step, error)
    if bfloat16_step > _GAIN * float32_step:
        return PrecisionChoice("float32", "bfloat16 is not faster", float32_step, bfloat16_step, error)
    return PrecisionChoice("bfloat16", "bfloat16 is faster and agrees", float32_step, bfloat16_step, error)


def _measure_steps(trainer: keras.Model, images: BatchSource, batch_size: int, precision: str) -> tuple[Any, float]:
    """Return the losses of the first steps and the seconds of one without compilation; restore the model."""
    losses: list[float] = []
    with _restore_afterwards(trainer), compute_in(trainer, precision):
        steps = Steps(trainer, batch_size)
        steps.train(images, lambda step, batch_losses: losses.extend(batch_losses.tolist()))
    durations = []
    for _ in range(_PASSES):
        with _restore_afterwards(trainer), compute_in(trainer, precision):
            start = time.perf_counter()
            steps.train(images, lambda step, batch_losses: None)
            durations.append(time.perf_counter() - start)
    return np.array(losses), min(durations) / step_count(len(images), batch_size)


@contextmanager
def _restore_afterwards(trainer: keras.Model) -> Iterator[None]:
    trainer.optimizer.build(trainer.trainable_variables)
    variables = [*trainer.variables, *trainer.optimizer.variables]
    values = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        trainer.reset_metrics()


class _FirstImages:
    """The first images of an epoch."""

    def __init__(self, images: BatchSource, count: int) -> None:
        self._images = images
        self._count = min(count, len(images))

    def __len__(self) -> int:
        return self._count

    @property
    def max_images(self) -> int:
        return self._images.max_images

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        return self._images.take(start, stop)
