"""Evaluate the model of a phase, and log its predictions, tables and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from tinybench.core import waiting
from tinybench.evaluation.predict_split import SplitPredictor, regularization_loss
from tinybench.evaluation.split_metrics import SplitEvaluation, evaluate_predictions
from tinybench.job import evaluation_artifacts, explanation_artifacts
from tinybench.tracking import stored_predictions

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.evaluation.predictions import Predictions
    from tinybench.tracking.plot_log import PlotLog


def evaluate_phase(plot_log: PlotLog, model: keras.Model, dataset: Dataset, config: RunConfig) -> dict[str, float]:
    """Predict all validation and test images, log the predictions, and evaluate those of the test images.

    Args:
        plot_log: Where predictions, tables and plots are logged to.
        model: The model with the best weights of the phase.
        dataset: The images.
        config: The run's configuration.

    Returns:
        The metrics of `SplitEvaluation` as `test/…`; `test/loss`, which is Keras's with the penalties on weights; and
        `best/temperature`, which was fitted on the validation images.

    Raises:
        TrainingError: The model's output is not finite.
    """
    predictor = SplitPredictor(model)
    images = len(dataset.validation) + len(dataset.test)
    with waiting.tell_if_slow(f"scoring {images:,} validation and test images"):
        validation, test = (predictor.predict(split, config.batch_size) for split in (dataset.validation, dataset.test))
    stored_predictions.log_predictions(plot_log.run, "validation", validation)
    evaluation = evaluate_split(plot_log, "test", test, dataset, validation)
    if plot_log.enabled:
        with waiting.tell_if_slow("drawing maps that explain predictions"):
            explanation_artifacts.log_explanations(
                plot_log, model, dataset.test, evaluation, dataset.class_names, config.explain
            )
    loss = {"test/loss": evaluation.metrics["log_loss"] + regularization_loss(model)}
    return loss | prefix_metrics("test", evaluation) | {"best/temperature": evaluation.temperature}


def evaluate_split(
    plot_log: PlotLog, split: str, predictions: Predictions, dataset: Dataset, validation: Predictions | None = None
) -> SplitEvaluation:
    """Evaluate the predictions of a split, and log them with tables and plots.

    Args:
        plot_log: Where they are logged to.
        split: `train`, `validation` or `test`.
        predictions: The predictions of all images of the split.
        dataset: The images.
        validation: Predictions of the validation images, to fit the temperature on.
    """
    stored_predictions.log_predictions(plot_log.run, split, predictions)
    with waiting.tell_if_slow("computing metrics and their intervals"):
        evaluation = evaluate_predictions(predictions, validation, superclasses=dataset.superclasses)
    evaluation_artifacts.log_tables(plot_log.run, evaluation, dataset.class_names)
    if plot_log.enabled:
        with waiting.tell_if_slow(f"drawing figures of the {split} images"):
            evaluation_artifacts.log_plots(plot_log, evaluation, dataset.splits[split], dataset.class_names)
    return evaluation


def prefix_metrics(split: str, evaluation: SplitEvaluation) -> dict[str, float]:
    """Return the metrics by the names under which they are logged, such as `test/accuracy` or `val/accuracy`."""
    prefix = "val" if split == "validation" else split
    return {f"{prefix}/{name}": value for name, value in evaluation.metrics.items()}
