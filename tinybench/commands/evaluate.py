"""Judging a finished run's model again, as a run linked to its source: by kept answers where there are any.

Another data set, or a folder of pictures, is told by the names of its classes, and fit to the model's size.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinybench import data
from tinybench.core.errors import ConfigError
from tinybench.data import external
from tinybench.evaluation import metrics
from tinybench.evaluation.predict_split import SplitPredictor, regularization_loss
from tinybench.hardware import device
from tinybench.job import description, phase_evaluation
from tinybench.tracking import run_record, tags
from tinybench.tracking.plot_log import PlotLog
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.evaluation.predictions import Predictions

SPLITS = ("train", "validation", "test")

# The model is as it is; and a split that is drawn anew would hold images that it was trained on
_SETTLED = (
    *("recipe", "model", "weights", "phases", "image_size", "seed", "monitor"),
    *("data.validation", "data.test", "data.per_class", "data.folds", "backbone.", "network.", "head."),
    *("augment.", "optimizer.", "loss.", "scratch.", "transfer.", "finetune.", "callbacks"),
    *("explain.", "checkpoint.", "engine", "precision", "cache."),
)


def run(run_id: str, split: str, uri: str | None, settings: Mapping[str, Any]) -> dict[str, float]:
    """Judge the model of a run by one of its splits, or by another data set that has some of its classes.

    Raises:
        ConfigError: there is no such split, or a setting is not allowed or would have no effect.
        DataError: the data have other classes than the model.
        TrackingError: there is no such run, or it holds no model.
    """
    split = "validation" if split == "val" else split
    if split not in SPLITS:
        raise ConfigError(f"Invalid value for `split`: expected one of {', '.join(SPLITS)}, got {split!r}.")
    tracker = Tracker.at(uri)
    source = tracker.find_top_run(run_id)
    config = run_record.derive_config(tracker, source, settings, _SETTLED)
    if config.data.folds and split != "test":
        raise ConfigError(f"Run {run_id} has folds, which have seen all training images: only split test is left.")
    device.use(config.device)
    dataset = _data(config, tracker, source, split)  # first: a mistake leaves no run behind
    evaluation = Tracker(config.track).open_parent_run(f"evaluate {description.name(config)}")
    with evaluation.open():
        evaluation.log_params({"run_id": run_id, "split": split} | config.words())
        evaluation.set_tags({tags.SOURCE_RUN: run_id, tags.CONFIG_HASH: config.identity()})
        run_record.log_data(evaluation, dataset)
        final = run_record.find_final_run(tracker, run_id)
        answers, loss = _answers(config, tracker, source, final, dataset, split)
        validation = run_record.read_predictions(tracker, final, "validation") if split != "validation" else None
        judged = phase_evaluation.of_answers(
            PlotLog(evaluation, config.track.pictures), split, answers, dataset, validation
        )
        figures = loss | phase_evaluation.named(split, judged)
        if validation is not None:
            figures |= {"best/temperature": judged.temperature}
        evaluation.log_metrics(figures, 0, time.time_ns() // 1_000_000)
    return figures


def _data(config: RunConfig, tracker: Tracker, source: MlflowRun, split: str) -> Dataset:
    """The run's own data, or others told by the names of the model's classes."""
    earlier = run_record.read_config(tracker, source)
    if config.dataset == earlier.dataset:
        return data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    if split != "test":
        raise ConfigError("Invalid value for `split`: other data are not split, and all of them tested. Leave it out.")
    known, shape = run_record.read_class_names(tracker, source), run_record.read_image_shape(tracker, source)
    return external.adapt_to_model(config.dataset, data.load_raw(config.dataset, config.data, image_size=shape[0]), known, shape)


def _answers(
    config: RunConfig, tracker: Tracker, source: MlflowRun, final: MlflowRun, dataset: Dataset, split: str
) -> tuple[Predictions, dict[str, float]]:
    """Those that the run kept, if they are of these very images; else the model is asked. With Keras's loss."""
    title = "val" if split == "validation" else split
    if run_record.has_same_data(source, dataset):
        kept = run_record.read_predictions(tracker, final, split)
        if kept is not None:
            known = final.data.metrics
            return kept, _loss(kept, title, known["test/loss"] - known["test/log_loss"]) if "test/loss" in known else {}
    model = run_record.load_final_model(tracker, final.info.run_id)
    run_record.check_data_fits(model, run_record.read_class_names(tracker, source), dataset)
    answers = SplitPredictor(model).predict(dataset.splits[split], config.batch_size)
    if config.data.folds:  # Keras would add up the penalties of all members: log_loss is what compares
        return answers, {}
    return answers, _loss(answers, title, regularization_loss(model))


def _loss(answers: Predictions, title: str, penalties: float) -> dict[str, float]:
    """Keras's loss: the log loss and the penalties on weights."""
    return {f"{title}/loss": float(metrics.log_loss_per_image(answers.labels, answers.probabilities()).mean()) + penalties}
