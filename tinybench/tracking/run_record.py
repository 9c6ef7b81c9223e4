"""Log what a run needs to be understood, resumed and compared, and read it back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import keras

from tinybench import models
from tinybench.config.effects import FOLDER_SETTINGS, compared_text
from tinybench.config.run_config import PHASES, RunConfig, canonical_key, from_flat, replace
from tinybench.core.errors import ConfigError, DataError, TrackingError
from tinybench.core.hashing import hash_file
from tinybench.data import splits, summary
from tinybench.recipes.resolve import override
from tinybench.tracking import environment_run, provenance, tags
from tinybench.tracking.results import PhaseResult
from tinybench.tracking.run_reader import RunReader
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker

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
_BEST = "best.keras"
_FINAL_METRICS = ("test/", "best/", "efficiency/")


def log_configuration(parent: RunWriter, config: RunConfig, start_from: str | None) -> None:
    """Log the configuration, the run whose weights it starts from, and code that was not committed."""
    parent.log_params(compared_text(config))
    parent.log_text(json.dumps(config.flat_redacted(), indent=1), _CONFIG)
    parent.set_tags({tags.CONFIG_HASH: config.identity()} | ({tags.SOURCE_RUN: start_from} if start_from else {}))
    parent.set_tags(hash_user_files(config))
    diff = provenance.uncommitted_diff()
    if diff:
        parent.log_text(diff, "source/dirty.diff")


def hash_user_files(config: RunConfig) -> dict[str, str]:
    """Return hashes of the user's own model and weights by tag: a path alone does not say what the file held."""
    paths = {tags.MODEL_SHA256: Path(config.model), tags.WEIGHTS_SHA256: Path(config.weights)}
    return {tag: hash_file(path, "sha256") for tag, path in paths.items() if path.is_file()}


def log_phase_inputs(child: RunWriter, config: RunConfig, dataset: Dataset) -> None:
    """Log configuration and data to the run of a phase, so that phases of different runs can be compared."""
    child.log_params(compared_text(config))
    child.log_dataset(dataset)
    child.set_tags({tags.CONFIG_HASH: config.identity()})


def log_feed(child: RunWriter, decision: FeedDecision, precision: PrecisionChoice) -> None:
    """Log how a phase is fed, by which engine, and what it computes in: as tags to filter by, and in full as JSON."""
    feed_tags = {
        tags.FEED: decision.mode,
        tags.FEED_REASON: decision.reason,
        tags.FEED_LAYER: decision.layer,
        tags.ENGINE: decision.engine,
        tags.ENGINE_PRECISION: decision.computing if decision.mode != "live" else "",
        tags.PRECISION: precision.precision,
    }
    child.set_tags({name: value for name, value in feed_tags.items() if value})
    child.log_text(json.dumps({"feed": asdict(decision), "precision": asdict(precision)}, indent=1), _FEED)


def log_data(run: RunWriter, dataset: Dataset) -> None:
    """Log the data with their fingerprint and split; for a resumed run, check that they are still the same.

    Raises:
        DataError: The data have changed since the run began.
    """
    logged_hash = run.logged_tags.get(tags.SPLIT_HASH)
    if logged_hash == dataset.split_hash:
        return
    if logged_hash is not None:
        raise DataError("The data are not those that the run began with: restore them, or start a new run.")
    run.log_dataset(dataset)
    run.log_text(json.dumps(summary.summarize_dataset(dataset), indent=1), _DATA)
    if dataset.warnings:
        run.set_tags({tags.DATA_WARNINGS: " ".join(dataset.warnings)})
    # Last, because a run with a split hash counts as one whose data have been logged
    run.set_tags(
        {
            tags.DATA_FINGERPRINT: dataset.fingerprint,
            tags.TEST_HASH: splits.hash_splits({"test": dataset.test}),
            tags.SPLIT_HASH: dataset.split_hash,
        }
    )


_OLD_VALUES = {"data.resize": "squash"}
"""What settings were before they existed, where their default is another value."""


def read_config(tracker: Tracker, run: MlflowRun) -> RunConfig:
    """Return the configuration that a run logged, with the store in which the run was found.

    Raises:
        TrackingError: tinybench did not make the run, or its artifacts are not where the store says.
    """
    try:
        values = _read_json(tracker, run, _CONFIG)
    except OSError as error:
        if tags.CONFIG_HASH not in run.data.tags:
            raise TrackingError(f"Run {run.info.run_id} was not made by tinybench: it has no {_CONFIG}.") from error
        raise TrackingError(
            f"Run {run.info.run_id} has no {_CONFIG} at {run.info.artifact_uri}: its artifacts were deleted, or are "
            "elsewhere. Put them back, or train it again."
        ) from error
    return from_flat(_OLD_VALUES | values | {"track.uri": tracker.uri})


def derive_config(
    tracker: Tracker, source: MlflowRun, settings: Mapping[str, Any], fixed: tuple[str, ...], **forced: Any
) -> RunConfig:
    """Return the configuration of a new run that continues an earlier one: in its experiment, with a new name and tags.

    Args:
        tracker: The store of the earlier run.
        source: The earlier run.
        settings: The settings that differ from it.
        fixed: Keys, or beginnings of keys, that cannot differ from the earlier run.
        **forced: The settings that the new run has in any case.

    Raises:
        ConfigError: A setting is not allowed, or would have no effect.
        TrackingError: tinybench did not make the earlier run.
    """
    earlier = read_config(tracker, source)
    for key in map(canonical_key, settings):
        if key.startswith(fixed) and replace(earlier, settings).flat()[key] != earlier.flat()[key]:
            raise ConfigError(
                f"`{key}` cannot be changed here: run {source.info.run_id} has settled it as {earlier.flat()[key]!r}. "
                "Leave it out, or train a new run."
            )
    experiment = None  # `mlflow run` has chosen one
    if environment_run.named_run_id() is None:
        experiment = tracker.experiment_name(source)
    changes = {"track.run_name": None, "track.tags": (), "track.experiment": experiment}
    if replace(earlier, settings).dataset != earlier.dataset:
        changes |= dict.fromkeys(FOLDER_SETTINGS)
    return override(replace(earlier, changes | forced), settings)


def read_class_names(tracker: Tracker, run: MlflowRun) -> tuple[str, ...]:
    """Return the class names of a run, in the order of its model's outputs."""
    return tuple(_read_json(tracker, run, _DATA)["images_by_class"]["train"])


def read_image_shape(tracker: Tracker, run: MlflowRun) -> tuple[int, int, int]:
    """Return height, width and channels of the images that a run's model takes."""
    height, width, channels = _read_json(tracker, run, _DATA)["shape"]
    return height, width, channels


def _read_json(tracker: Tracker, run: MlflowRun, path: str) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        values: dict[str, Any] = json.loads(tracker.download_artifact(run.info.run_id, path, Path(folder)).read_text())
    return values


def has_same_data(run: MlflowRun, dataset: Dataset) -> bool:
    """Return whether a run used exactly these images in the same split."""
    return bool(run.data.tags.get(tags.SPLIT_HASH) == dataset.split_hash)


def check_data_fits(model: keras.Model, class_names: tuple[str, ...], dataset: Dataset) -> None:
    """Raise unless data have the shape that a model takes, and its classes in its order.

    Args:
        model: The model.
        class_names: The classes of its outputs.
        dataset: The data to check.

    Raises:
        DataError: The data do not fit; the message says what differs.
    """
    if model.input_shape[1:] != dataset.shape or len(class_names) != len(dataset.class_names):
        raise DataError(
            f"The model takes {model.input_shape[1:]} and knows {len(class_names)} classes; the data are "
            f"{dataset.shape} with {len(dataset.class_names)} classes: give the data set it was trained for."
        )
    for index, (name, data_name) in enumerate(zip(class_names, dataset.class_names, strict=True)):
        if name != data_name:
            raise DataError(
                f"The model knows other classes, or in another order: its class {index} is {name!r}, that of the "
                f"data is {data_name!r}. Give the data set it was trained for."
            )


def log_checkpoints(child: RunWriter, model: keras.Model, checkpoints: Checkpoints) -> None:
    """Store the best model and the latest checkpoints as artifacts."""
    log_best_model(child, model, checkpoints.folder)
    for file in checkpoints.paths():
        child.log_artifact(file, _CHECKPOINTS)


def log_best_model(run: RunWriter, model: keras.Model, folder: Path) -> Path:
    """Write the best model to a folder, store the file as an artifact, and return its path."""
    file = folder / _BEST
    model.save(file)
    run.log_artifact(file, _CHECKPOINTS)
    return file


def read_finished_phase(tracker: Tracker, run: MlflowRun) -> tuple[keras.Model, PhaseResult]:
    """Return the best model and the result of a finished phase."""
    metrics = {name: value for name, value in run.data.metrics.items() if name.startswith(_FINAL_METRICS)}
    epochs = tuple(tracker.read_epochs(run.info.run_id))
    result = PhaseResult(run.info.run_id, epochs[-1].number, int(metrics["best/epoch"]), metrics, epochs)
    return _load_model(tracker, run), result


def load_best_model(tracker: Tracker, run_id: str, dataset: Dataset) -> keras.Model:
    """Load the best model of a run to start from.

    Args:
        tracker: The store.
        run_id: The run of a phase; or a parent run, which stands for its first phase, `transfer` or `scratch`.
        dataset: The data that the model shall be trained on.

    Raises:
        DataError: The data have another shape or other classes than the model.
        TrackingError: The run has no best weights.
    """
    phase_run = tracker.find_phase_run(run_id, "transfer") or tracker.find_phase_run(run_id, "scratch")
    model = _load_model(tracker, phase_run or tracker.get_run(run_id))
    check_data_fits(model, read_class_names(tracker, tracker.find_top_run(run_id)), dataset)
    return model


def find_final_run(tracker: RunReader, run_id: str) -> MlflowRun:
    """Return the run with the final model and its predictions: that of the last finished phase, else the run itself.

    Raises:
        TrackingError: There is no such run, or it is deleted.
    """
    named = tracker.get_run(run_id)
    tracker.require_active(named)
    for phase in reversed(PHASES):
        run = tracker.find_phase_run(run_id, phase)
        if run is not None and run.info.status == "FINISHED":
            return run
    return named


def load_final_model(tracker: Tracker, run_id: str) -> keras.Model:
    """Load the model of a phase, or of the last phase of a run.

    Raises:
        TrackingError: The run has no weights.
    """
    return _load_model(tracker, find_final_run(tracker, run_id))


def _load_model(tracker: Tracker, run: MlflowRun) -> keras.Model:
    with TemporaryDirectory() as folder:
        try:
            file = tracker.download_artifact(run.info.run_id, f"{_CHECKPOINTS}/{_BEST}", Path(folder))
        except OSError as error:
            raise TrackingError(
                f"Run {run.info.run_id} holds no best weights: give a run whose transfer phase is finished."
            ) from error
        return models.load(file)
