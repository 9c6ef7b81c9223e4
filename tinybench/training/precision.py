"""The precision that training computes in: bfloat16 where the device has it, is faster with it and agrees.

Weights, their moments and the sums of metrics stay in float32. The choice is measured on real steps from the
same state, and written beside the checkpoints, so that a resumed phase computes as it began.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import PhaseConfig
from tinybench.data import augment
from tinybench.features import engines
from tinybench.features.feed import Feed
from tinybench.models import mixed_precision
from tinybench.training import kernels
from tinybench.training.steps import Images, Steps, count

# How far the loss of the first steps may be from that in float32
AGREEMENT = 0.02

_MIXES_LABELS = ("mix_up", "cut_mix")  # with the images

_STEPS = 4
_PASSES = 3
_GAIN = 0.95  # a choice is not left to noise
_WORTH = 60.0  # below so many seconds of training, a second trace costs more than it can save
_CHOICE = "precision.json"


@dataclass(frozen=True)
class Choice:
    """The precision of a phase.

    Attributes:
        precision: float32 or bfloat16.
        reason: Why.
        float32_step, bfloat16_step: Seconds of a step; 0 where it was not timed.
        error: Largest distance of the first losses from those in float32, as a share.
    """

    precision: str
    reason: str
    float32_step: float = 0.0
    bfloat16_step: float = 0.0
    error: float = 0.0


def settled(trainer: keras.Model, feed: Feed, config: RunConfig, phase: str, folder: Path) -> Choice:
    """The precision of a phase: as it was chosen before, else by measuring.

    Args:
        trainer: The compiled model; it is left as it was.
        feed: What it is trained on.
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        folder: Where the phase's checkpoints are.
    """
    file = folder / _CHOICE
    if file.exists():
        return Choice(**json.loads(file.read_text("utf-8")))
    settings: PhaseConfig = getattr(config, phase)
    choice = _chosen(trainer, feed, config, settings.epochs * count(feed.count, config.batch_size))
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(choice)), "utf-8")
    part.replace(file)
    return choice


@contextmanager
def computing(trainer: keras.Model, precision: str) -> Iterator[None]:
    """Let a model compute in a precision meanwhile; what it computes with must be traced inside."""
    if precision == "float32":
        lowered: AbstractContextManager[None] = nullcontext()
    elif tf.config.get_visible_devices("GPU"):
        lowered = by_policy(trainer)
    else:
        lowered = engines.rewriting()
    with lowered, kernels.quick(trainer):
        yield


def by_policy(trainer: keras.Model) -> AbstractContextManager[None]:
    """Keras's mixed precision for a model in training.

    What draws at random stays as it is, so that it draws the same in both precisions.
    """
    return mixed_precision.computing(trainer, "bfloat16", _draws)


def _draws(layer: keras.layers.Layer) -> bool:
    return (
        isinstance(layer, keras.layers.Dropout) or layer.name.startswith(augment.PREFIX) or layer.name in _MIXES_LABELS
    )


def _chosen(trainer: keras.Model, feed: Feed, config: RunConfig, steps: int) -> Choice:
    if config.precision == "float32":
        return Choice("float32", "precision is float32")
    if not engines.lowers():
        return Choice("float32", "this device has no bfloat16")
    return compared(trainer, feed, config.batch_size, steps)


def compared(trainer: keras.Model, feed: Feed, batch_size: int, steps: int) -> Choice:
    """Both precisions on the same steps from the same state, unless the whole would be done in a moment."""
    images = _First(feed.training(0), _STEPS * batch_size)
    expected, slow = _measured(trainer, images, batch_size, "float32")
    if steps * slow < _WORTH:
        return Choice("float32", "too little to train for a choice to pay", slow)
    found, fast = _measured(trainer, images, batch_size, "bfloat16")
    distance = np.abs(found - expected) / np.maximum(np.abs(expected), 1e-6)
    error = float(np.nan_to_num(distance, nan=1.0, posinf=1.0).max())
    if error > AGREEMENT:
        return Choice("float32", "the losses in bfloat16 differ", slow, fast, error)
    if fast > _GAIN * slow:
        return Choice("float32", "bfloat16 is not faster", slow, fast, error)
    return Choice("bfloat16", "bfloat16 is faster and agrees", slow, fast, error)


def _measured(trainer: keras.Model, images: Images, batch_size: int, precision: str) -> tuple[Any, float]:
    """Losses of the first steps and the seconds of one, the compiling ones left out; the model is put back."""
    losses: list[float] = []
    with _unchanged(trainer), computing(trainer, precision):
        steps = Steps(trainer, batch_size)
        steps.train(images, lambda step, found: losses.extend(found.tolist()))
    passes = []
    for _ in range(_PASSES):
        with _unchanged(trainer), computing(trainer, precision):
            began = time.perf_counter()
            steps.train(images, lambda step, found: None)
            passes.append(time.perf_counter() - began)
    return np.array(losses), min(passes) / count(len(images), batch_size)


@contextmanager
def _unchanged(trainer: keras.Model) -> Iterator[None]:
    trainer.optimizer.build(trainer.trainable_variables)
    variables = [*trainer.variables, *trainer.optimizer.variables]
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        trainer.reset_metrics()


class _First:
    """The first images of an epoch."""

    def __init__(self, images: Images, most: int) -> None:
        self._images = images
        self._count = min(most, len(images))

    def __len__(self) -> int:
        return self._count

    @property
    def most(self) -> int:
        return self._images.most

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        return self._images.take(start, stop)
