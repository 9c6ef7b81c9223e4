"""A model's figures on a split: one pass over the images, then NumPy."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.data.dataset import Split
from tinybench.evaluation import metrics
from tinybench.training.batches import Batches


def score(model: keras.Model, split: Split, batch_size: int) -> dict[str, float]:
    """The figures of `metrics.scores`, and `loss`.

    `loss` is Keras's: the log loss and the penalties on weights, so that it can be compared with the
    curves of training.
    """
    probabilities = predict(model, split, batch_size)
    found = metrics.scores(split.labels, probabilities)
    return {"loss": found["log_loss"] + float(sum(float(penalty) for penalty in model.losses)), **found}


def predict(model: keras.Model, split: Split, batch_size: int) -> NDArray[np.float32]:
    """Probabilities (n, classes) of a split's images, in its order."""
    return np.asarray(model.predict(Batches(split, batch_size), verbose=0))
