"""Many training steps in one call: an epoch without Python between its steps.

Keras runs one step a call, or several from a pipeline that it must feed; for a head of a few layers that
costs as much as the arithmetic. Here the loop is in the graph, around Keras's own `train_step`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# A call answers to Ctrl-C and moves the bar only when it is done
_SECONDS_A_CALL = 0.5


class Images(Protocol):
    """Labelled images, or their features, in the order of an epoch."""

    def __len__(self) -> int: ...

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """What stands at those places: a table of inputs, a table of labels, and the rows of both, in order."""
        ...

    @property
    def most(self) -> int:
        """The most places to take at once."""
        ...


class Table:
    """Inputs and labels as they are, in their order."""

    def __init__(self, inputs: Any, labels: Any) -> None:
        """Args: arrays or tensors of one length."""
        self._inputs = inputs
        self._labels = labels
        self.most = len(labels)

    def __len__(self) -> int:
        return len(self._labels)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """Both, and the places that are asked for."""
        return self._inputs, self._labels, np.arange(start, stop)


class Steps:
    """The steps of a compiled model."""

    def __init__(self, trainer: keras.Model, batch_size: int) -> None:
        """Args: a compiled model, and images a step."""
        trainer.optimizer.build(trainer.trainable_variables)
        self.trainer = trainer
        self.batch_size = batch_size
        self._train = _Loop(trainer.train_step, batch_size)
        self._test = _Loop(trainer.test_step, batch_size)

    def train(self, images: Images, report: Callable[[int, Any], None]) -> dict[str, float]:
        """Train once on all images.

        Args:
            images: The epoch's images in their order.
            report: Called with the number of a step, from 0, and the mean losses of the epoch after it and
                the steps that follow it.

        Returns:
            The epoch's figures by Keras's names.
        """
        return self._run(self._train, images, report)

    def evaluate(self, images: Images) -> dict[str, float]:
        """The figures of the weights as they are, by Keras's names."""
        return self._run(self._test, images, lambda step, losses: None)

    def _run(self, loop: _Loop, images: Images, report: Callable[[int, Any], None]) -> dict[str, float]:
        self.trainer.reset_metrics()
        start = 0
        while start < len(images):
            began = time.perf_counter()
            count = max(1, min(loop.at_once, images.most // self.batch_size))
            stop = min(start + count * self.batch_size, len(images))
            report(start // self.batch_size, loop(*images.take(start, stop)))
            if time.perf_counter() - began < _SECONDS_A_CALL:
                loop.at_once = 2 * count
            start = stop
        return {name: float(value) for name, value in self.trainer.get_metrics_result().items()}


class _Loop:
    """A step of Keras, repeated in the graph."""

    def __init__(self, step: Callable[[Any], dict[str, Any]], batch_size: int) -> None:
        self.at_once = 1
        self._step = step
        self._batch_size = batch_size
        self._function: Any = None

    def __call__(self, *tables: Any) -> NDArray[np.float32]:
        """The mean loss after each step; inputs, labels and rows as `Images.take` gives them."""
        tensors = [tf.convert_to_tensor(table) for table in tables]
        if self._function is None:  # one trace for any number of images
            specs = [tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in tensors]
            self._function = tf.function(self._steps, input_signature=specs, autograph=False)
        return np.asarray(self._function(*tensors).numpy())

    def _steps(self, inputs: Any, labels: Any, rows: Any) -> Any:
        size = self._batch_size
        count = tf.math.floordiv(tf.shape(rows)[0] - 1, size) + 1

        def one(number: Any, losses: Any) -> tuple[Any, Any]:
            batch = rows[number * size : (number + 1) * size]
            values = tf.cast(tf.gather(inputs, batch), tf.float32)
            logs = self._step((values, tf.gather(labels, batch)))
            return number + 1, losses.write(number, logs["loss"])

        losses = tf.TensorArray(tf.float32, size=count, element_shape=())
        return tf.while_loop(lambda number, _: number < count, one, (0, losses), parallel_iterations=1)[1].stack()


def count(images: int, batch_size: int) -> int:
    """Steps of an epoch, the last smaller batch included."""
    return math.ceil(images / batch_size)
