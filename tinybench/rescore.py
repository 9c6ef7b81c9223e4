"""Scoring a finished run's model again, as a run linked to its source."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinybench import data
from tinybench.errors import ConfigError, DataError
from tinybench.evaluation.score import score
from tinybench.report import describe
from tinybench.tracking import record
from tinybench.tracking.tracker import SOURCE_TAG, Tracker
from tinybench.training import device

if TYPE_CHECKING:
    import keras

    from tinybench.data.dataset import Dataset

SPLITS = ("train", "validation", "test")


def run(run_id: str, split: str, uri: str | None, settings: Mapping[str, Any]) -> dict[str, float]:
    """Score the model of a run on one of its splits.

    Raises:
        ConfigError: there is no such split, or a setting is not allowed.
        DataError: the data have other classes than the model.
        TrackingError: there is no such run, or it holds no model.
    """
    if split not in SPLITS:
        raise ConfigError(f"Invalid value for `split`: expected one of {', '.join(SPLITS)}, got {split!r}.")
    tracker = Tracker.at(uri)
    source = tracker.top(run_id)
    config = record.following(tracker, source, settings)
    evaluation = Tracker(config.track).parent(f"evaluate {describe.name(config)}")
    with evaluation.open():
        evaluation.params({"run_id": run_id, "split": split})
        evaluation.tags({SOURCE_TAG: run_id})
        device.use(config.device)
        dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
        record.about_data(evaluation, dataset)
        model = record.final_model(tracker, run_id)
        _check_fit(model, record.class_names(tracker, source), dataset)
        found = score(model, dataset.splits[split], config.batch_size)
        figures = {f"{split}/{name}": value for name, value in found.items()}
        evaluation.metrics(figures, 0, time.time_ns() // 1_000_000)
    return figures


def _check_fit(model: keras.Model, known: tuple[str, ...], dataset: Dataset) -> None:
    """Refuse data of another shape, or classes that the model does not know or knows in another order."""
    if model.input_shape[1:] != dataset.shape or len(known) != len(dataset.class_names):
        raise DataError(
            f"The model takes {model.input_shape[1:]} and knows {len(known)} classes; the data are "
            f"{dataset.shape} with {len(dataset.class_names)} classes: give the data set it was trained for."
        )
    if known != dataset.class_names:
        place = next(at for at, name in enumerate(known) if name != dataset.class_names[at])
        raise DataError(
            f"The model knows other classes, or in another order: its class {place} is {known[place]!r}, that of the "
            f"data is {dataset.class_names[place]!r}. Give the data set it was trained for."
        )
