"""Create experiments, also when several processes do so in the same moment."""

from __future__ import annotations

from collections.abc import Callable

import tenacity
from mlflow.tracking import MlflowClient

from tinybench.tracking import store, tags


def get_or_create_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of the experiment with a name, which is created if it does not exist."""
    retry_on_conflict(lambda: client.get_experiment_by_name(name) or client.create_experiment(name))
    return str(client.get_experiment_by_name(name).experiment_id)


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
