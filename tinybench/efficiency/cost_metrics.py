"""What a model takes: parameters now, time, memory and disk before anybody starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from tinybench.features.feed_decision import FeedDecision


def parameters(model: keras.Model, trainer: keras.Model) -> dict[str, float]:
    """Parameters of the model and how many of them the training model trains, as metrics."""
    trainable = sum(int(np.prod(weight.shape)) for weight in trainer.trainable_weights)
    return {"efficiency/parameters": float(model.count_params()), "efficiency/parameters_trainable": float(trainable)}


def features(decision: FeedDecision) -> dict[str, float]:
    """What kept features took, as metrics: bytes, and seconds and speed where this run computed them."""
    if decision.mode != "bank":
        return {}
    found = {"efficiency/features_bytes": float(decision.bytes), "efficiency/features_seconds": decision.seconds}
    if decision.images:
        found["efficiency/features_images_per_second"] = decision.images / decision.seconds
    return found
