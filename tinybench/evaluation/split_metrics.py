"""Evaluate the predictions for a split: metrics with intervals, calibrated on the predictions for another split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinybench.evaluation import calibration, intervals, metrics
from tinybench.evaluation.metrics import ClassMetrics
from tinybench.evaluation.predictions import Predictions


@dataclass(frozen=True)
class SplitEvaluation:
    """The metrics of a model on a split.

    Attributes:
        predictions: The predictions that were evaluated.
        temperature: Fitted on the validation predictions; 1 without them.
        metrics: By name, such as `accuracy`, `accuracy_low`, `accuracy_high` (95 % interval) and `ece_scaled` (at
            the temperature).
        class_metrics: Metrics of each class.
        confusion_matrix: (classes, classes) images; rows are true classes, columns predicted ones.
        superclass_accuracy: Accuracy by superclass, where there are superclasses.
    """

    predictions: Predictions
    temperature: float
    metrics: dict[str, float]
    class_metrics: ClassMetrics
    confusion_matrix: NDArray[np.int64]
    superclass_accuracy: dict[str, float] = field(default_factory=dict)


def evaluate_predictions(
    predictions: Predictions, validation: Predictions | None = None, *, superclasses: Sequence[str] = (), seed: int = 0
) -> SplitEvaluation:
    """Compute all metrics of the predictions for a split.

    Args:
        predictions: The predictions to evaluate.
        validation: Predictions for other images, to fit the temperature on.
        superclasses: The superclass of each class, or empty.
        seed: Seed of the bootstrap.
    """
    probabilities = predictions.probabilities()
    temperature = 1.0 if validation is None else calibration.fit_temperature(validation.labels, validation.logits)
    values = metrics.classification_metrics(predictions.labels, probabilities)
    for name, (low, high) in intervals.bootstrap_intervals(predictions.labels, probabilities, seed, values).items():
        values |= {f"{name}_low": low, f"{name}_high": high}
    if validation is not None:
        values |= _scaled_metrics(predictions, temperature)
    predicted = probabilities.argmax(axis=1)
    return SplitEvaluation(
        predictions,
        temperature,
        values,
        metrics.per_class_metrics(predictions.labels, predicted, predictions.class_count),
        metrics.confusion_matrix(predictions.labels, predicted, predictions.class_count),
        metrics.superclass_accuracy(predictions.labels, probabilities, superclasses) if superclasses else {},
    )


def _scaled_metrics(predictions: Predictions, temperature: float) -> dict[str, float]:
    """Return the metrics that depend on the temperature."""
    probabilities = predictions.probabilities(temperature)
    bins = calibration.bin_by_confidence(predictions.labels, probabilities)
    return {
        "ece_scaled": bins.ece,
        "mce_scaled": bins.mce,
        "brier_scaled": calibration.brier_score(predictions.labels, probabilities),
        "log_loss_scaled": float(metrics.log_loss_per_image(predictions.labels, probabilities).mean()),
    }
