"""Judging the model of a phase: what it answers, what that says, and what of it goes into the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from tinybench.evaluation.predict_split import SplitPredictor, regularization_loss
from tinybench.evaluation.split_metrics import SplitEvaluation, evaluate_predictions
from tinybench.job import evaluation_artifacts, explanation_artifacts
from tinybench.tracking import run_record

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.evaluation.predictions import Predictions
    from tinybench.tracking.plot_log import PlotLog


def of_phase(album: PlotLog, model: keras.Model, dataset: Dataset, config: RunConfig) -> dict[str, float]:
    """Ask for every validation and test image, keep the answers, and judge by the test images.

    Returns:
        `test/…` as `judge` names them, `test/loss` (Keras's, with the penalties on weights) and `best/temperature`,
        which was fitted on the validation images.

    Raises:
        TrainingError: the model gives no numbers.
    """
    predictor = SplitPredictor(model)
    validation, test = (predictor.predict(split, config.batch_size) for split in (dataset.validation, dataset.test))
    run_record.log_predictions(album.run, "validation", validation)
    judged = of_answers(album, "test", test, dataset, validation)
    if album.enabled:
        explanation_artifacts.log(album, model, dataset.test, judged, dataset.class_names, config.explain)
    loss = {"test/loss": judged.metrics["log_loss"] + regularization_loss(model)}
    return loss | named("test", judged) | {"best/temperature": judged.temperature}


def of_answers(
    album: PlotLog, split: str, answers: Predictions, dataset: Dataset, validation: Predictions | None = None
) -> SplitEvaluation:
    """Judge by the answers on a split of a data set; they, tables and pictures go into the run."""
    run_record.log_predictions(album.run, split, answers)
    judged = evaluate_predictions(answers, validation, superclasses=dataset.superclasses)
    evaluation_artifacts.tables(album.run, judged, dataset.class_names)
    if album.enabled:
        evaluation_artifacts.pictures(album, judged, dataset.splits[split], dataset.class_names)
    return judged


def named(split: str, judged: SplitEvaluation) -> dict[str, float]:
    """The figures under the names that they are logged by; `val` is short for validation, as in the curves."""
    title = "val" if split == "validation" else split
    return {f"{title}/{name}": value for name, value in judged.metrics.items()}
