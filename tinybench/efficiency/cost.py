"""What a model takes: parameters now, time, memory and disk before anybody starts."""

from __future__ import annotations

import keras
import numpy as np


def parameters(model: keras.Model, trainer: keras.Model) -> dict[str, float]:
    """Parameters of the model and how many of them the training model trains, as metrics."""
    trainable = sum(int(np.prod(weight.shape)) for weight in trainer.trainable_weights)
    return {"efficiency/parameters": float(model.count_params()), "efficiency/parameters_trainable": float(trainable)}
