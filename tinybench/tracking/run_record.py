"""What a run records about itself, and reading it back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tinybench import models
from tinybench.config.run_config import PHASES, RunConfig, canonical, from_flat, replace
from tinybench.core.errors import ConfigError, DataError, TrackingError
from tinybench.core.hashing import hash_file
from tinybench.data import splits, summary
from tinybench.evaluation.predictions import Predictions
from tinybench.tracking import provenance
from tinybench.tracking.results import PhaseResult
from tinybench.tracking.run import Run
from tinybench.tracking.tracker import SOURCE_TAG, WARNING_TAG, Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.data.dataset import Dataset
    from tinybench.features.feed_decision import FeedDecision
    from tinybench.training.checkpoint import Checkpoints
    from tinybench.training.precision import PrecisionChoice

_CONFIG = "config.json"
_DATA = "data.json"
_FEED = "feed.json"
_CHECKPOINTS = "checkpoints"
_PREDICTIONS = "predictions"
_BEST = "best.keras"
_SPLIT_TAG = "data.split_hash"
TEST_TAG = "data.test_hash"
SAME_TEST_TAGS = ("data.fingerprint", TEST_TAG)  # runs that share one can have the same test images


def log_configuration(parent: Run, config: RunConfig, start_from: str | None) -> None:
    """The configuration, where it starts from, and code that was not committed."""
    parent.log_params(config.words())
    parent.log_text(json.dumps(config.shown(), indent=1), _CONFIG)
    parent.set_tags({"tinybench.config_hash": config.identity()} | ({SOURCE_TAG: start_from} if start_from else {}))
    parent.set_tags(_hash_user_files(config))
    diff = provenance.uncommitted_diff()
    if diff:
        parent.log_text(diff, "source/dirty.diff")


def _hash_user_files(config: RunConfig) -> dict[str, str]:
    """Hashes of the user's own files, since a path alone does not say what was in them."""
    given = {"model.sha256": Path(config.model), "weights.sha256": Path(config.weights)}
    return {tag: hash_file(path, "sha256") for tag, path in given.items() if path.is_file()}


def log_phase_inputs(child: Run, config: RunConfig, dataset: Dataset) -> None:
    """The same configuration and data, so that phases of different runs can be compared."""
    child.log_params(config.words())
    child.log_dataset(dataset)
    child.set_tags({"tinybench.config_hash": config.identity()})


def log_feed(child: Run, decision: FeedDecision, computed: PrecisionChoice) -> None:
    """How a phase is fed and by which engine, and what it computes in: tags to filter by, and the whole story."""
    tags = {"feed": decision.mode, "feed.reason": decision.reason, "feed.layer": decision.layer}
    tags |= {"engine": decision.engine, "engine.precision": decision.computing if decision.mode != "live" else ""}
    child.set_tags({name: value for name, value in tags.items() if value} | {"precision": computed.precision})
    child.log_text(json.dumps({"feed": asdict(decision), "precision": asdict(computed)}, indent=1), _FEED)


def log_data(run: Run, dataset: Dataset) -> None:
    """The data by fingerprint and split; a resumed run must find the same.

    Raises:
        DataError: the data changed since the run began.
    """
    known = run.client.get_run(run.id).data.tags.get(_SPLIT_TAG)
    if known == dataset.split_hash:
        return
    if known is not None:
        raise DataError("The data are not those that the run began with: restore them, or start a new run.")
    run.log_dataset(dataset)
    run.log_text(json.dumps(summary.summarize_dataset(dataset), indent=1), _DATA)
    if dataset.warnings:
        run.set_tags({WARNING_TAG: " ".join(dataset.warnings)})
    # Last: it says that all is there
    known_by = (dataset.fingerprint, splits.hash_splits({"test": dataset.test}))
    run.set_tags(dict(zip(SAME_TEST_TAGS, known_by, strict=True)) | {_SPLIT_TAG: dataset.split_hash})


def read_config(tracker: Tracker, found: MlflowRun) -> RunConfig:
    """The configuration that a run recorded, in the store where it was found.

    Raises:
        TrackingError: the run is not one of ours.
    """
    try:
        with TemporaryDirectory() as folder:
            values = json.loads(tracker.download_artifact(found, _CONFIG, Path(folder)).read_text())
    except OSError as error:
        raise TrackingError(f"Run {found.info.run_id} was not made by tinybench: it has no {_CONFIG}.") from error
    return from_flat(values | {"track.uri": tracker.uri})


def derive_config(
    tracker: Tracker, found: MlflowRun, settings: Mapping[str, Any], fixed: tuple[str, ...], **own: Any
) -> RunConfig:
    """The configuration of a new run that follows an earlier one: in its experiment, with a name and tags of its own.

    Args:
        tracker: The store of the earlier run.
        found: The earlier run.
        settings: What differs from it.
        fixed: Keys, or beginnings of keys, that the earlier run has settled.
        **own: What the new run is in any case.

    Raises:
        ConfigError: a setting that is not allowed, or would have no effect.
        TrackingError: the earlier run is not one of ours.
    """
    earlier = read_config(tracker, found)
    for key in map(canonical, settings):
        if key.startswith(fixed) and replace(earlier, settings).flat()[key] != earlier.flat()[key]:
            raise ConfigError(
                f"`{key}` cannot be changed here: run {found.info.run_id} has settled it as {earlier.flat()[key]!r}. "
                "Leave it out, or train a new run."
            )
    chosen = "MLFLOW_RUN_ID" in os.environ  # by `mlflow run`
    experiment = None if chosen else tracker.client.get_experiment(found.info.experiment_id).name
    fresh = {"track.run_name": None, "track.tags": (), "track.experiment": experiment}
    return replace(replace(earlier, fresh | own), settings)


def read_class_names(tracker: Tracker, found: MlflowRun) -> tuple[str, ...]:
    """The classes that a run told apart, in the order of its model's outputs."""
    with TemporaryDirectory() as folder:
        about = json.loads(tracker.download_artifact(found, _DATA, Path(folder)).read_text())
    return tuple(about["images_by_class"]["train"])


def read_image_shape(tracker: Tracker, found: MlflowRun) -> tuple[int, int, int]:
    """Height, width and channels of the images that a run's model takes."""
    with TemporaryDirectory() as folder:
        height, width, channels = json.loads(tracker.download_artifact(found, _DATA, Path(folder)).read_text())["shape"]
    return height, width, channels


def has_same_data(found: MlflowRun, dataset: Dataset) -> bool:
    """Whether these are the very images that a run used, split alike."""
    return bool(found.data.tags.get(_SPLIT_TAG) == dataset.split_hash)


def check_data_fits(model: keras.Model, known: tuple[str, ...], dataset: Dataset) -> None:
    """Refuse data of another shape, or classes that the model does not know or knows in another order.

    Raises:
        DataError: it says what differs.
    """
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


def log_predictions(run: Run, split: str, given: Predictions) -> None:
    """What a model answered for every image of a split."""
    run.log_arrays(f"{_PREDICTIONS}/{split}.npz", **given.arrays())


def read_predictions(tracker: Tracker, found: MlflowRun, split: str) -> Predictions | None:
    """What `answers` kept; None where there is none."""
    with TemporaryDirectory() as folder:
        try:
            file = tracker.download_artifact(found, f"{_PREDICTIONS}/{split}.npz", Path(folder))
        except OSError:
            return None
        with np.load(file, allow_pickle=False) as stored:
            return Predictions.from_arrays(stored)


def log_checkpoints(child: Run, model: keras.Model, store: Checkpoints) -> None:
    """The best model and the latest checkpoints, as artifacts."""
    log_best_model(child, model, store.folder)
    for file in store.paths():
        child.log_artifact(file, _CHECKPOINTS)


def log_best_model(run: Run, model: keras.Model, folder: Path) -> Path:
    """The best model as an artifact, written in a folder first; gives the file."""
    file = folder / _BEST
    model.save(file)
    run.log_artifact(file, _CHECKPOINTS)
    return file


def read_finished_phase(tracker: Tracker, found: MlflowRun) -> tuple[keras.Model, PhaseResult]:
    """The best model of a finished phase, and what it left."""
    values = found.data.metrics
    kept = {name: value for name, value in values.items() if name.startswith(("test/", "best/", "efficiency/"))}
    last = tracker.read_epochs(found.info.run_id)[-1].number
    return _load_model(tracker, found), PhaseResult(found.info.run_id, last, int(values["best/epoch"]), kept)


def load_best_model(tracker: Tracker, run_id: str, dataset: Dataset) -> keras.Model:
    """The best weights of a run: of the phase that is named, else of the one that can be fine-tuned.

    Raises:
        DataError: the data have another shape or other classes than the model.
        TrackingError: the run holds no best weights.
    """
    first = tracker.find_phase_run(run_id, "transfer") or tracker.find_phase_run(run_id, "scratch")
    model = _load_model(tracker, first or tracker.get_run(run_id))
    check_data_fits(model, read_class_names(tracker, tracker.find_top_run(run_id)), dataset)
    return model


def find_final_run(tracker: Tracker, run_id: str) -> MlflowRun:
    """The run that holds the final model and its answers: that of the last finished phase, else the run itself."""
    for phase in reversed(PHASES):
        found = tracker.find_phase_run(run_id, phase)
        if found is not None and found.info.status == "FINISHED":
            return found
    return tracker.get_run(run_id)


def load_final_model(tracker: Tracker, run_id: str) -> keras.Model:
    """The model of a phase, or that of a run's last phase.

    Raises:
        TrackingError: the run holds no weights.
    """
    return _load_model(tracker, find_final_run(tracker, run_id))


def _load_model(tracker: Tracker, found: MlflowRun) -> keras.Model:
    with TemporaryDirectory() as folder:
        try:
            file = tracker.download_artifact(found, f"{_CHECKPOINTS}/{_BEST}", Path(folder))
        except OSError as error:
            raise TrackingError(
                f"Run {found.info.run_id} holds no best weights: give a run whose transfer phase is finished."
            ) from error
        return models.load(file)
