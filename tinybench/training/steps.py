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
import tensorflow as tf

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


class Steps:
    """The steps of a compiled model."""

    def __init__(self, trainer: keras.Model, batch_size: int) -> None:
        """Args: a compiled model, and images a step."""
        trainer.optimizer.build(trainer.trainable_variables)
        self.trainer = trainer
        self.batch_size = batch_size
        self._train = self._looped(trainer.train_step)
        self._test = self._looped(trainer.test_step)
        self._at_once = {self._train: 1, self._test: 1}

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

    def _run(self, function: Any, images: Images, report: Callable[[int, Any], None]) -> dict[str, float]:
        self.trainer.reset_metrics()
        start = 0
        while start < len(images):
            began = time.perf_counter()
            count = min(self._at_once[function], max(1, images.most // self.batch_size))
            stop = min(start + count * self.batch_size, len(images))
            report(start // self.batch_size, function(*images.take(start, stop)).numpy())
            if time.perf_counter() - began < _SECONDS_A_CALL:
                self._at_once[function] = 2 * count
            start = stop
        return {name: float(value) for name, value in self.trainer.get_metrics_result().items()}

    def _looped(self, step: Callable[[Any], dict[str, Any]]) -> Any:
        def steps(inputs: Any, labels: Any, rows: Any) -> Any:
            count = tf.math.floordiv(tf.shape(rows)[0] - 1, self.batch_size) + 1

            def one(number: Any, losses: Any) -> tuple[Any, Any]:
                batch = rows[number * self.batch_size : (number + 1) * self.batch_size]
                pixels = tf.cast(tf.gather(inputs, batch), tf.float32)
                logs = step((pixels, tf.gather(labels, batch)))
                return number + 1, losses.write(number, logs["loss"])

            losses = tf.TensorArray(tf.float32, size=count, element_shape=())
            return tf.while_loop(lambda number, _: number < count, one, (0, losses), parallel_iterations=1)[1].stack()

        return tf.function(steps, reduce_retracing=True, autograph=False)


def count(images: int, batch_size: int) -> int:
    """Steps of an epoch, the last smaller batch included."""
    return math.ceil(images / batch_size)
