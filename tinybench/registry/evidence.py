"""Collect what the gates need to know of a model: its predictions, its files, a reload check and its latency.

A champion that is gone does not stop a promotion: the gates that would compare with it refuse the candidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core import interruption
from tinybench.core.errors import EngineError, TrackingError, format_error
from tinybench.efficiency import measurement
from tinybench.efficiency.measurement_spec import MeasurementSpec
from tinybench.hardware import certificate
from tinybench.registry.gates import EvaluatedModel, LostChampion
from tinybench.tracking import logged_model, run_record, stored_predictions, tags

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.evaluation.predictions import Predictions
    from tinybench.registry.policy import Policy
    from tinybench.tracking.logged_model import ModelFiles
    from tinybench.tracking.tracker import Tracker
    from tinybench.training.run_callbacks import RunCallbacks


@contextmanager
def collect(
    tracker: Tracker, policy: Policy, candidate_run: str, champion_run: str | None, callbacks: RunCallbacks
) -> Iterator[tuple[EvaluatedModel, EvaluatedModel | LostChampion | None]]:
    """Yield the candidate and the champion with what the gates of a policy need; nothing else is loaded or measured.

    Args:
        tracker: The store.
        policy: The gates.
        candidate_run: The id of the run that trained the candidate.
        champion_run: The id of the run that trained the champion; None if there is no champion.
        callbacks: Receives a message before each step, since some of them take a minute.

    Raises:
        TrackingError: The candidate's run or model is gone, or it has no predictions.
    """
    with ExitStack() as downloads:
        candidate, files = _open_model(tracker, candidate_run, downloads)
        models, model_files, lost = [candidate], [files], None
        if champion_run is not None and policy.compares:
            try:
                champion, champion_files = _open_model(tracker, champion_run, downloads)
            except TrackingError as error:
                lost = LostChampion(f"the champion is lost: {error}")
            else:
                models.append(champion)
                model_files.append(champion_files)
        if policy.reload is not None:
            callbacks.on_message("Loading the model as a server does …")
            models[0] = _add_reload_check(candidate, files)
        if policy.latency is not None:
            rounds = int(policy.latency.rounds) if len(models) > 1 else 1  # several show how far to trust a ratio
            models = _add_latencies(models, model_files, rounds, callbacks)
        yield models[0], models[1] if len(models) > 1 else lost


def get_model_uri(tracker: Tracker, run_id: str) -> str:
    """Return the address of the model that a run logged.

    Raises:
        TrackingError: The run logged none.
    """
    uri: str | None = tracker.get_run(run_id).data.tags.get(tags.MODEL_URI)
    if uri is None:
        raise TrackingError(f"Run {run_id} logged no model: give a whole run that is finished, and no phase of one.")
    return uri


def _open_model(tracker: Tracker, run_id: str, downloads: ExitStack) -> tuple[EvaluatedModel, ModelFiles]:
    """Return a model as far as it is stored, and its files, which exist until `downloads` is closed.

    Raises:
        TrackingError: The run or the model is gone or damaged.
    """
    try:
        files = downloads.enter_context(logged_model.download(get_model_uri(tracker, run_id)))
        return _describe_model(tracker, run_id, files), files
    except TrackingError:
        raise
    except Exception as error:  # reading a damaged file may raise anything
        raise TrackingError(f"What run {run_id} stored cannot be read: {format_error(error)}.") from error


def _describe_model(tracker: Tracker, run_id: str, files: ModelFiles) -> EvaluatedModel:
    predictions = stored_predictions.read_predictions(tracker, run_record.find_final_run(tracker, run_id), "test")
    if predictions is None:
        raise TrackingError(f"Run {run_id} has no predictions for test images: it cannot be judged.")
    run = tracker.find_top_run(run_id)
    _check_accuracy(run, predictions)
    run_tags = run.data.tags
    return EvaluatedModel(
        run_id,
        predictions,
        files.info.temperature,
        files.info.labels,
        run_tags.get(tags.DATA_FINGERPRINT, ""),
        run_tags.get(tags.TEST_HASH, ""),
        files.signature,
        size_bytes=files.keras_path.stat().st_size,
    )


def _check_accuracy(run: MlflowRun, predictions: Predictions) -> None:
    """Raise unless stored predictions give the accuracy that the run logged: who writes to runs may replace them.

    Raises:
        TrackingError: They do not.
    """
    logged = run.data.metrics.get("test/accuracy")
    found = float(np.mean(predictions.logits.argmax(axis=1) == predictions.labels))
    if logged is not None and abs(found - logged) * len(predictions.labels) > 0.5:  # less than one image: rounding
        raise TrackingError(
            f"Run {run.info.run_id} has logged a test accuracy of {logged:.4f}, and its stored predictions give "
            f"{found:.4f}: one of them was changed later. It cannot be judged; train it again."
        )


def _add_reload_check(model: EvaluatedModel, files: ModelFiles) -> EvaluatedModel:
    try:
        with interruption.restored():  # else it would be the model's fault, and the decision is kept
            return replace(model, reloaded=files.run_reload_check())
    except Exception as error:  # loading a stored model may raise anything
        return replace(model, reload_error=f"it cannot be used: {format_error(error)}")


def _add_latencies(
    models: list[EvaluatedModel], model_files: list[ModelFiles], rounds: int, callbacks: RunCallbacks
) -> list[EvaluatedModel]:
    """Measure the latency of the models in turn, so that other work of the machine slows down all of them."""
    threads = certificate.usable_threads()
    specs = [MeasurementSpec(str(files.keras_path), threads=threads, latency_only=True) for files in model_files]
    measured = list(models)
    for number in range(rounds):
        for index, (spec, role) in enumerate(zip(specs, ("candidate", "champion"), strict=False)):
            if not measured[index].latency_error:
                callbacks.on_message(f"Measuring latency, round {number + 1} of {rounds}: {role} …")
                measured[index] = _add_latency_round(measured[index], spec)
    return measured


def _add_latency_round(model: EvaluatedModel, spec: MeasurementSpec) -> EvaluatedModel:
    """Add the latency of one more round; a round that fails makes the latency unknown."""
    try:
        latency = measurement.measure(spec).metrics["latency_p99_ms"]
    except EngineError as error:
        return replace(model, latencies_p99_ms=(), latency_error=str(error))
    return replace(model, latencies_p99_ms=(*model.latencies_p99_ms, latency))
