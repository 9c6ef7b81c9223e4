"""Create experiments, also when several processes do so in the same moment."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import NoReturn

import tenacity
from mlflow.entities import Experiment, LifecycleStage, Run
from mlflow.tracking import MlflowClient

from tinybench.core.errors import TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import artifact_location, store, tags


class DeletedExperimentError(TrackingError):
    """An experiment in which no run can be opened until it is restored."""


def refuse_deleted(client: MlflowClient, uri: str, run: Run) -> NoReturn:
    """Raise that a run is deleted, alone or with its experiment, with the command that restores it.

    Raises:
        TrackingError: In any case.
    """
    _require_active(client.get_experiment(run.info.experiment_id), uri)
    address = redact(uri)
    command = f"MLFLOW_TRACKING_URI={shlex.quote(address)} mlflow runs restore --run-id {run.info.run_id}"
    raise TrackingError(f"Run {run.info.run_id} in {address} is deleted. Restore it with: {command}")


def get_or_create_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment with a name, which is created if it does not exist.

    Raises:
        DeletedExperimentError: There is one that is deleted.
    """
    retry_on_conflict(lambda: client.get_experiment_by_name(name) or client.create_experiment(name))
    return _require_active(client.get_experiment_by_name(name), client.tracking_uri)


def check_usable(client: MlflowClient, uri: str, described: Mapping[str, str], way_out: str) -> None:
    """Raise if runs cannot be opened in an experiment; one of a name that there is not is no error.

    Args:
        client: A client of the store.
        uri: Address of the store.
        described: The experiment as {"id": …} or {"name": …}.
        way_out: What to do, before the command that restores it.

    Raises:
        DeletedExperimentError: It is deleted.
        TrackingError: Its artifacts are not where the store says.
        MlflowException: There is none with this id.
    """
    if "id" in described:
        experiment = client.get_experiment(described["id"])
    else:
        experiment = client.get_experiment_by_name(described["name"])
    if experiment is not None:
        _require_active(experiment, uri, way_out)
        moved = artifact_location.explain_experiment(experiment.name, experiment.artifact_location, uri)
        if moved:
            raise TrackingError(moved)


def _require_active(experiment: Experiment, uri: str, way_out: str = "Restore it with") -> str:
    """Return the id of an experiment unless it is deleted."""
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        address = redact(uri)
        raise DeletedExperimentError(
            f"The experiment {experiment.name!r} in {address} is deleted. {way_out}: "
            f"MLFLOW_TRACKING_URI={shlex.quote(address)} mlflow experiments restore --experiment-id "
            f"{experiment.experiment_id}"
        )
    return str(experiment.experiment_id)


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=r"(?is).*(UNIQUE constraint|duplicate key|already exists)"),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0, 0.2),
    reraise=True,
)
def retry_on_conflict(call: Callable[[], object]) -> None:
    """Call a function again if another process wrote the same row first: MLflow's SQL stores then fail once."""
    call()


def set_experiment_kind(client: MlflowClient, experiment_id: str) -> None:
    """Let the MLflow UI list training runs first; an experiment without a kind is shown as one of prompts."""
    if tags.EXPERIMENT_KIND not in client.get_experiment(experiment_id).tags:
        kind_tag = (experiment_id, tags.EXPERIMENT_KIND, "custom_model_development")
        retry_on_conflict(lambda: client.set_experiment_tag(*kind_tag))


def list_experiment_ids(client: MlflowClient) -> list[str]:
    """Return the ids of all experiments that are not deleted, however many pages they fill."""
    return [item.experiment_id for item in store.pages(lambda token: client.search_experiments(page_token=token))]
