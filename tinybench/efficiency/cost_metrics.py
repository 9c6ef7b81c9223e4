"""Count the parameters of a model, and report what its feature bank took, as metrics of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

if TYPE_CHECKING:
    from tinybench.features.feed_decision import FeedDecision


def parameter_metrics(model: keras.Model, trainer: keras.Model) -> dict[str, float]:
    """Return the number of parameters of a model, and how many of them its training model trains."""
    trainable = sum(int(np.prod(weight.shape)) for weight in trainer.trainable_weights)
    return {"efficiency/parameters": float(model.count_params()), "efficiency/parameters_trainable": float(trainable)}


def feature_metrics(decision: FeedDecision) -> dict[str, float]:
    """Return the size of a phase's feature bank in bytes, and the time and speed if this run computed it.

    Returns:
        Metrics by name; none for a phase without a feature bank.
    """
    if decision.mode != "bank":
        return {}
    metrics = {"efficiency/features_bytes": float(decision.bytes), "efficiency/features_seconds": decision.seconds}
    if decision.images:
        metrics["efficiency/features_images_per_second"] = decision.images / decision.seconds
    return metrics
