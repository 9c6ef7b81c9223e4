"""Evaluate the model of a finished run again, as a new run that is linked to it.

Stored predictions are used if there are any for the same images. Images of another data set or folder are matched
to the model's classes by the names of their classes, and resized to the model's input.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tinybench import data
from tinybench.config.effects import compared_text
from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest
from tinybench.data import external
from tinybench.evaluation import metrics
from tinybench.evaluation.predict_split import SplitPredictor, regularization_loss
from tinybench.hardware import device
from tinybench.job import description, phase_evaluation
from tinybench.tracking import references, run_kinds, run_record, stored_predictions, tags
from tinybench.tracking.plot_log import PlotLog
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.evaluation.predictions import Predictions

SPLITS = ("train", "validation", "test")

# These cannot change: the model is trained already, and another split could test it on its training images
_FIXED_SETTINGS = (
    *("recipe", "model", "weights", "phases", "image_size", "seed", "monitor"),
    *("data.validation", "data.test", "data.per_class", "data.folds", "data.resize", "data.range", "backbone."),
    *("network.", "head."),
    *("augment.", "optimizer.", "loss.", "scratch.", "transfer.", "finetune.", "callbacks"),
    *("explain.", "checkpoint.", "engine", "precision", "cache."),
)


def evaluate_run(
    run_id: str, *, split: str = "test", uri: str | None = None, settings: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Evaluate the model of a run on one of its splits, or on another data set that has some of its classes.

    Args:
        run_id: A finished run, or a phase of one.
        split: `train`, `validation` (or `val`) or `test`.
        uri: The tracking store; MLflow's default if None.
        settings: Settings that differ from those of the run, such as `dataset`, by their keys.

    Returns:
        Metrics by name, such as `test/accuracy`.

    Raises:
        ConfigError: There is no such split, or a setting is not allowed or would have no effect.
        DataError: The data have other classes than the model.
        TrackingError: There is no such run, or it has no model.
    """
    split = "validation" if split == "val" else split
    if split not in SPLITS:
        raise ConfigError(
            f"Invalid value for `split`: expected one of {', '.join(SPLITS)}, got {split!r}.{suggest(split, SPLITS)}"
        )
    tracker = Tracker.at(uri)
    run_id = references.find_run_id(tracker, run_id)
    source = tracker.find_top_run(run_id)
    config = run_record.derive_config(tracker, source, settings or {}, _FIXED_SETTINGS)
    if config.data.folds and split != "test":
        raise ConfigError(f"Run {run_id} has folds, which have seen all training images: only split test is left.")
    device.select_device(config.device)
    target = Tracker(config.track, may_be_away=True)
    target.check_parent_run()
    dataset = _load_data(config, tracker, source, split)  # before the run is opened, so that an error leaves no run
    run = target.open_parent_run(f"evaluate {description.run_title(config)}", run_kinds.EVALUATION)
    with closing(target), run.open():
        run.log_params({"run_id": run_id, "split": split} | compared_text(config))
        run.set_tags({tags.SOURCE_RUN: run_id, tags.CONFIG_HASH: config.identity()})
        run_record.log_data(run, dataset)
        final = run_record.find_final_run(tracker, run_id)
        predictions, loss = _predict(config, tracker, source, final, dataset, split)
        validation = (
            stored_predictions.read_predictions(tracker, final, "validation") if split != "validation" else None
        )
        plot_log = PlotLog(run, config.track.pictures)
        evaluation = phase_evaluation.evaluate_split(plot_log, split, predictions, dataset, validation)
        values = loss | phase_evaluation.prefix_metrics(split, evaluation)
        if validation is not None:
            values |= {"best/temperature": evaluation.temperature}
        run.log_metrics(values, 0, time.time_ns() // 1_000_000)
    return values


def _load_data(config: RunConfig, tracker: Tracker, source: MlflowRun, split: str) -> Dataset:
    """Load the run's own data, or other data adapted to its model."""
    if config.dataset == run_record.read_config(tracker, source).dataset:
        return data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    if split != "test":
        raise ConfigError("Invalid value for `split`: other data are not split, and all of them tested. Leave it out.")
    class_names, shape = run_record.read_class_names(tracker, source), run_record.read_image_shape(tracker, source)
    raw = data.load_raw(config.dataset, config.data, image_size=shape[0])
    return external.adapt_to_model(config.dataset, raw, class_names, shape, config.data.resize, config.data.range)


def _predict(
    config: RunConfig, tracker: Tracker, source: MlflowRun, final: MlflowRun, dataset: Dataset, split: str
) -> tuple[Predictions, dict[str, float]]:
    """Read the run's stored predictions if they are of the same images; otherwise let its model predict.

    Args:
        config: The configuration of the evaluation.
        tracker: The store of the run.
        source: The run.
        final: The run that holds its final model: its last phase, or the run itself.
        dataset: The images.
        split: The split to predict.

    Returns:
        The predictions, and Keras's loss as a metric if it is defined.
    """
    stored_metrics = final.data.metrics
    if run_record.has_same_data(source, dataset):
        stored = stored_predictions.read_predictions(tracker, final, split)
        if stored is not None:
            if "test/loss" not in stored_metrics:
                return stored, {}
            return stored, _keras_loss(stored, split, stored_metrics["test/loss"] - stored_metrics["test/log_loss"])
    model = run_record.load_final_model(tracker, final.info.run_id)
    run_record.check_data_fits(model, run_record.read_class_names(tracker, source), dataset)
    predictions = SplitPredictor(model).predict(dataset.splits[split], config.batch_size)
    if config.data.folds:  # Keras would add up the penalties of all models of the ensemble
        return predictions, {}
    return predictions, _keras_loss(predictions, split, regularization_loss(model))


def _keras_loss(predictions: Predictions, split: str, penalties: float) -> dict[str, float]:
    """Return Keras's loss as a metric: the log loss plus the penalties on weights."""
    log_losses = metrics.log_loss_per_image(predictions.labels, predictions.probabilities())
    return {f"{'val' if split == 'validation' else split}/loss": float(log_losses.mean()) + penalties}
