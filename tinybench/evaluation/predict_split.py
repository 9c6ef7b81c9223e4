"""Run a model over a split of a data set and keep its logits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinybench.core.errors import TrainingError
from tinybench.data.dataset import Split
from tinybench.evaluation.predictions import Predictions
from tinybench.features.batches import Batches

_BATCHES = 64  # per call of Keras's `predict`, whose float32 outputs are stored in half the bytes before the next call


class SplitPredictor:
    """A model prepared to give logits; its graph is traced once and used for every split.

    Args:
        model: From pixels to probabilities. Its logits are the outputs of the layer named `logits`; without such a
            layer the logarithms of the probabilities are taken.
    """

    def __init__(self, model: keras.Model) -> None:
        self._gives_logits = any(layer.name == "logits" for layer in model.layers)
        self._graph = keras.Model(model.inputs, model.get_layer("logits").output) if self._gives_logits else model

    def predict(self, split: Split, batch_size: int) -> Predictions:
        """Return the predictions for the images of a split, in the order of the split.

        Raises:
            TrainingError: The split is empty, or an output of the model is not finite.
        """
        step = batch_size * _BATCHES
        create: Any = Predictions.from_logits if self._gives_logits else Predictions.from_probabilities
        chunks = []
        try:
            for start in range(0, len(split), step):
                chunk = split.subset(start, start + step)
                outputs = np.asarray(self._graph.predict(Batches(chunk, batch_size), verbose=0))
                chunks.append(create(chunk.rows, chunk.labels, outputs))
            return Predictions.concatenate(chunks)
        except ValueError as error:
            raise TrainingError(f"{error} Train with a lower learning rate.") from error


def regularization_loss(model: keras.Model) -> float:
    """Return the sum of the weight penalties that Keras adds to the log loss."""
    return float(sum(float(penalty) for penalty in model.losses))
