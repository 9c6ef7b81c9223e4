"""A model's answers on a split: one pass over the images, a batch at a time, then NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinybench.core.errors import TrainingError
from tinybench.data.dataset import Split
from tinybench.evaluation.predictions import Answers
from tinybench.features.batches import Batches

_BATCHES = 64  # asked for at once: only what is kept of them, half as wide, grows with the data set


class Answerer:
    """Asks a model for its logits; its graph is traced once, for all splits."""

    def __init__(self, model: keras.Model) -> None:
        """Args: pixels to probabilities; its logits are those of the layer of that name, else their logarithms."""
        names = [layer.name for layer in model.layers]
        self._gives_logits = "logits" in names
        self._graph = keras.Model(model.inputs, model.get_layer("logits").output) if self._gives_logits else model

    def __call__(self, split: Split, batch_size: int) -> Answers:
        """The answers for a split's images, in its order.

        Raises:
            TrainingError: the model gives no numbers.
        """
        step = batch_size * _BATCHES
        parts = (split.part(start, start + step) for start in range(0, len(split), step))
        try:
            return Answers.joined([self._answers(part, batch_size) for part in parts])
        except ValueError as error:
            raise TrainingError(f"{error} Train with a lower learning rate.") from error

    def _answers(self, split: Split, batch_size: int) -> Answers:
        keep: Any = Answers.of_logits if self._gives_logits else Answers.of_probabilities
        found: Answers = keep(
            split.rows, split.labels, np.asarray(self._graph.predict(Batches(split, batch_size), verbose=0))
        )
        return found


def penalty(model: keras.Model) -> float:
    """What Keras adds to the log loss: the penalties on weights."""
    return float(sum(float(each) for each in model.losses))
