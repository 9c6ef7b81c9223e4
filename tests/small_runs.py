"""Settings of a run on digits that takes some seconds, and what a store holds of runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

SMALL: dict[str, Any] = {
    "recipe": "quickstart",
    "transfer.epochs": 2,
    "finetune.epochs": 2,
    "data.per_class": 20,
    "data.test_per_class": 10,
    "track.pictures": False,
    "track.costs": "off",
}


def all_runs(uri: str) -> list[Run]:
    """Every run of a store, the oldest first."""
    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return sorted(client.search_runs(experiments, max_results=1000), key=lambda run: run.info.start_time)


def points(uri: str, run_id: str) -> Counter[tuple[str, int, int, str]]:
    """Every point of every metric of a run, with the number of times that the store has it; NaN as text."""
    client = MlflowClient(uri)
    return Counter(
        (name, point.step, point.timestamp, repr(point.value))
        for name in client.get_run(run_id).data.metrics
        for point in client.get_metric_history(run_id, name)
    )


def artifacts(uri: str, run_id: str, folder: str | None = None) -> set[str]:
    """The paths of all artifacts of a run."""
    paths = set()
    for item in MlflowClient(uri).list_artifacts(run_id, folder):
        paths |= artifacts(uri, run_id, item.path) if item.is_dir else {item.path}
    return paths


def content(uri: str, run_id: str) -> dict[str, Any]:
    """What a store holds of a run, in a form that can be compared."""
    run = MlflowClient(uri).get_run(run_id)
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "user": run.info.user_id,
        "params": run.data.params,
        "tags": run.data.tags,
        "points": points(uri, run_id),
        "artifacts": artifacts(uri, run_id),
        "datasets": [item.dataset.digest for item in run.inputs.dataset_inputs],
        "models": [output.model_id for output in run.outputs.model_outputs],
    }
