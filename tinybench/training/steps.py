"""Run many training steps in one call: an epoch without Python between its steps.

Keras runs one step per call, or several from an input pipeline; for a head of a few layers that
costs as much as the arithmetic. Here the loop is in the graph, around Keras's own `train_step`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinybench.features.batches import BatchSource

# Ctrl-C and the progress bar wait for the end of a call
_SECONDS_PER_CALL = 0.5


class ArraySource:
    """Serves inputs and labels in their given order.

    Args:
        inputs: Array or tensor (n, ...).
        labels: Array or tensor (n,).
    """

    def __init__(self, inputs: Any, labels: Any) -> None:
        self._inputs = inputs
        self._labels = labels
        self.max_images = len(labels)

    def __len__(self) -> int:
        return len(self._labels)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """Return all inputs, all labels, and the rows `start` to `stop`."""
        return self._inputs, self._labels, np.arange(start, stop)


class Steps:
    """Runs the training and test steps of a compiled model.

    Args:
        trainer: A compiled model.
        batch_size: Images of a step.
    """

    def __init__(self, trainer: keras.Model, batch_size: int) -> None:
        trainer.optimizer.build(trainer.trainable_variables)
        self.trainer = trainer
        self.batch_size = batch_size
        self._train = _Loop(trainer.train_step, batch_size)
        self._test = _Loop(trainer.test_step, batch_size)

    def train(self, images: BatchSource, report: Callable[[int, Any], None]) -> dict[str, float]:
        """Train once on all images.

        Args:
            images: The epoch's images in their order.
            report: Called after several steps with the number of the first, from 0, and the running mean loss of
                the epoch after each of them.

        Returns:
            The epoch's metrics by Keras's names.
        """
        return self._run(self._train, images, report)

    def evaluate(self, images: BatchSource) -> dict[str, float]:
        """Return the metrics of the present weights, by Keras's names."""
        return self._run(self._test, images, lambda step, losses: None)

    def _run(self, loop: _Loop, images: BatchSource, report: Callable[[int, Any], None]) -> dict[str, float]:
        self.trainer.reset_metrics()
        start = 0
        while start < len(images):
            start_time = time.perf_counter()
            count = max(1, min(loop.steps_per_call, images.max_images // self.batch_size))
            stop = min(start + count * self.batch_size, len(images))
            report(start // self.batch_size, loop(*images.take(start, stop)))
            if time.perf_counter() - start_time < _SECONDS_PER_CALL:
                loop.steps_per_call = 2 * count
            start = stop
        return {name: float(value) for name, value in self.trainer.get_metrics_result().items()}


class _Loop:
    """Repeats a step of Keras in the graph."""

    def __init__(self, step: Callable[[Any], dict[str, Any]], batch_size: int) -> None:
        self.steps_per_call = 1
        self._step = step
        self._batch_size = batch_size
        self._function: Any = None

    def __call__(self, *tables: Any) -> NDArray[np.float32]:
        """Run the steps over inputs, labels and rows (see `BatchSource.take`); return the mean loss after each."""
        tensors = [tf.convert_to_tensor(table) for table in tables]
        if self._function is None:  # one trace for any number of images
            specs = [tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype) for tensor in tensors]
            self._function = tf.function(self._steps, input_signature=specs, autograph=False)
        return np.asarray(self._function(*tensors).numpy())

    def _steps(self, inputs: Any, labels: Any, rows: Any) -> Any:
        size = self._batch_size
        count = tf.math.floordiv(tf.shape(rows)[0] - 1, size) + 1

        def run_step(number: Any, losses: Any) -> tuple[Any, Any]:
            batch = rows[number * size : (number + 1) * size]
            values = tf.cast(tf.gather(inputs, batch), tf.float32)
            logs = self._step((values, tf.gather(labels, batch)))
            return number + 1, losses.write(number, logs["loss"])

        losses = tf.TensorArray(tf.float32, size=count, element_shape=())
        return tf.while_loop(lambda number, _: number < count, run_step, (0, losses), parallel_iterations=1)[1].stack()


def step_count(images: int, batch_size: int) -> int:
    """Return the number of steps of an epoch, the last smaller batch included."""
    return math.ceil(images / batch_size)
