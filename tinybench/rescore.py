"""Scoring a finished run's model again, as a run linked to its source."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tinybench import data
from tinybench.errors import ConfigError
from tinybench.evaluation.score import score
from tinybench.report import describe
from tinybench.tracking import record
from tinybench.tracking.tracker import SOURCE_TAG, Tracker
from tinybench.training import device

SPLITS = ("train", "validation", "test")

# The model is as it is; and a split that is drawn anew would hold images that it was trained on
_SETTLED = (
    *("recipe", "model", "weights", "phases", "image_size", "seed", "monitor"),
    *("data.validation", "data.test", "data.per_class", "data.folds", "backbone.", "network.", "head."),
    *("augment.", "optimizer.", "loss.", "scratch.", "transfer.", "finetune.", "callbacks"),
    *("checkpoint.", "engine", "precision", "cache."),
)


def run(run_id: str, split: str, uri: str | None, settings: Mapping[str, Any]) -> dict[str, float]:
    """Score the model of a run on one of its splits.

    Raises:
        ConfigError: there is no such split, or a setting is not allowed or would have no effect.
        DataError: the data have other classes than the model.
        TrackingError: there is no such run, or it holds no model.
    """
    split = "validation" if split == "val" else split
    if split not in SPLITS:
        raise ConfigError(f"Invalid value for `split`: expected one of {', '.join(SPLITS)}, got {split!r}.")
    tracker = Tracker.at(uri)
    source = tracker.top(run_id)
    config = record.following(tracker, source, settings, _SETTLED)
    if config.data.folds and split != "test":
        raise ConfigError(f"Run {run_id} has folds, which have seen all training images: only split test is left.")
    evaluation = Tracker(config.track).parent(f"evaluate {describe.name(config)}")
    with evaluation.open():
        evaluation.params({"run_id": run_id, "split": split} | config.words())
        evaluation.tags({SOURCE_TAG: run_id, "tinybench.config_hash": config.identity()})
        device.use(config.device)
        dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
        record.about_data(evaluation, dataset)
        model = record.final_model(tracker, run_id)
        record.check_fit(model, record.class_names(tracker, source), dataset)
        found = score(model, dataset.splits[split], config.batch_size)
        if config.data.folds:
            found.pop("loss")  # Keras would add up the penalties of all members: log_loss is what compares
        title = "val" if split == "validation" else split  # as in every run
        figures = {f"{title}/{name}": value for name, value in found.items()}
        evaluation.metrics(figures, 0, time.time_ns() // 1_000_000)
    return figures
