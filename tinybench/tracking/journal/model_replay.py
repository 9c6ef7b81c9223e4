"""Send a logged model: MLflow's `Model.log` in steps that can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.models import Model
from mlflow.tracking import MlflowClient

from tinybench.tracking import store, tags
from tinybench.tracking.journal.entry_file import Entry


def send_model(client: MlflowClient, run_id: str, entry: Entry, folder: Path) -> tuple[str, bool]:
    """Create a logged model, or complete one that was begun before, and link it to its run.

    Args:
        client: A client of the store.
        run_id: The run.
        entry: The entry of the model: its key, name and step.
        folder: The files of the model, as `mlflow.pyfunc.save_model` wrote them; `MLmodel` gets the ids.

    Returns:
        The id of the model, and whether it was complete before.
    """
    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    model = _find_model(client, experiment, run_id, entry["key"])
    if model is not None and model.status == LoggedModelStatus.READY:
        return str(model.model_id), True
    if model is None:
        model_tags = {key: run.data.tags[key] for key in (tags.USER, tags.SOURCE_NAME, tags.SOURCE_TYPE,
                      tags.GIT_COMMIT) if key in run.data.tags}  # fmt: skip
        with store.without_retries():
            model = client.create_logged_model(
                experiment,
                name=entry["name"],
                source_run_id=run_id,
                tags=model_tags | {tags.KEY: entry["key"]},
                params=dict(run.data.params),
            )
    outputs = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in [output.model_id for output in outputs]:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=entry["step"])])
    _link_metrics(client, run_id, model.model_id, entry["step"])
    _write_ids(folder, run_id, model)
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    return str(model.model_id), False


def _find_model(client: MlflowClient, experiment: str, run_id: str, key: str) -> LoggedModel | None:
    models = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    return next((model for model in models if model.tags.get(tags.KEY) == key), None)


def _link_metrics(client: MlflowClient, run_id: str, model_id: str, step: int) -> None:
    """Link the metrics that the run has of the model's step to the model."""
    metrics: list[Any] = []
    for metric in client.get_run(run_id).data.metrics:
        metrics += [
            Metric(point.key, point.value, point.timestamp, point.step, model_id=model_id, run_id=run_id)
            for point in client.get_metric_history(run_id, metric)
            if point.step == step and point.model_id is None
        ]
    if metrics:
        client.log_batch(run_id, metrics=metrics[:1000])


def _write_ids(folder: Path, run_id: str, model: LoggedModel) -> None:
    described = Model.load(str(folder / "MLmodel"))
    described.run_id, described.model_id, described.model_uuid = run_id, model.model_id, model.model_id
    described.artifact_path = model.artifact_location
    (folder / "MLmodel").unlink()  # it may be a link to the journal's own file
    described.save(str(folder / "MLmodel"))
