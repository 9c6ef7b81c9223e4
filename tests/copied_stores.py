"""A store with everything that MLflow keeps of runs and models, and what another one must hold of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import LoggedModelInput, Metric
from mlflow.tracking import MlflowClient
from small_runs import SMALL, all_runs, content

import tinybench
from tinybench.tracking.model_versions import RegisteredModel
from tinybench.tracking.tracker import Tracker


class Doubling(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [2 * value for value in model_input["x"]]


@contextmanager
def default_store(uri: str) -> Iterator[MlflowClient]:
    mlflow.set_tracking_uri(uri)
    try:
        yield MlflowClient(uri)
    finally:
        mlflow.set_tracking_uri(None)


def train_and_promote(uri: str) -> tinybench.Result:
    """A small run of tinybench whose model is registered as the champion."""
    result = tinybench.train(**SMALL | {"track.uri": uri, "track.experiment": "digits"})
    tracker = Tracker.at(uri)
    registered = RegisteredModel(tracker.client, "digits")
    version = registered.register(result.run_id, result.model_uri, "# A model card")
    registered.set_version_tags(version.number, {"tinybench.decision.1": json.dumps({"run_id": result.run_id})})
    registered.set_alias("champion", version.number)
    tracker.close()
    mlflow.set_tracking_uri(None)
    return result


def log_foreign_runs(uri: str, folder: Path) -> str:
    """Nested runs that tinybench did not make, with a model of three versions; return the id of the parent."""
    with default_store(uri) as client:
        experiment = client.create_experiment("foreign")
        (folder / "with space").mkdir(parents=True)
        (folder / "with space" / "a+b c.txt").write_text("text")
        (folder / "large.bin").write_bytes(bytes(range(256)) * 4096)
        with mlflow.start_run(experiment_id=experiment, run_name="parent", tags={"team": "ours"}) as parent:
            mlflow.log_params({f"p{number}": "v" * number for number in range(150)})
            mlflow.log_artifacts(str(folder))
            mlflow.log_input(mlflow.data.from_pandas(pd.DataFrame({"x": [1, 2]}), name="frame"), context="training")
            points = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(1200)]
            for start in (0, 600):
                client.log_batch(parent.info.run_id, points[start : start + 600])
            client.log_batch(parent.info.run_id, [Metric("odd", math.nan, 5, 1), Metric("odd", math.inf, 5, 2)])
            client.log_batch(parent.info.run_id, [Metric("loss", 7.0, 1_700_000_000_000, 3)])
            model = mlflow.pyfunc.log_model(name="doubling", python_model=Doubling(), pip_requirements=[])
            client.set_logged_model_tags(model.model_id, {"made_by": parent.info.run_id})
            client.log_batch(parent.info.run_id, [Metric("acc", 0.5, 9, 4, model_id=model.model_id)])
            for number in range(2):
                with mlflow.start_run(None, experiment, f"child {number}", nested=True) as child:
                    mlflow.log_metric("m", number)
                    mlflow.set_tag("sibling", parent.info.run_id)
                    with mlflow.start_run(None, experiment, f"grandchild {number}", nested=True):
                        mlflow.log_dict({"a": number}, "deep/er/file.json")
                    client.log_inputs(child.info.run_id, models=[LoggedModelInput(model.model_id)])
        failed = client.create_run(experiment, start_time=1_600_000_000_000, tags={"mlflow.user": "somebody"})
        client.set_terminated(failed.info.run_id, "FAILED", 1_600_000_000_123)
        client.create_run(experiment, start_time=1_500_000_000_000, run_name="still running")
        client.delete_run(client.create_run(experiment, run_name="deleted").info.run_id)
        client.set_experiment_tag(experiment, "mlflow.note.content", "About it")
        client.create_registered_model("doubling", {"owner": "us"}, "It doubles")
        for description in ("first", "second", "third"):
            client.create_model_version(
                "doubling", f"models:/{model.model_id}", parent.info.run_id, {"nth": description}, None, description
            )
        client.create_model_version("doubling", "models:/doubling/3", parent.info.run_id)
        client.delete_model_version("doubling", "2")
        client.set_registered_model_alias("doubling", "best", "3")
        client.set_registered_model_alias("doubling", "old", "1")
        client.create_registered_model("empty", {}, "No versions")
        return str(parent.info.run_id)


def by_source(uri: str) -> dict[str, Any]:
    """The copied runs by the ids of their sources."""
    return {run.data.tags["tinybench.copied_from"]: run for run in all_runs(uri)}


def census(uri: str) -> dict[str, Any]:
    """All that a store holds, in a form in which two states of it can be compared."""
    client = MlflowClient(uri, registry_uri=uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    models = client.search_logged_models(experiments)
    versions = client.search_model_versions()
    return {
        "runs": {run.info.run_id: content(uri, run.info.run_id) for run in all_runs(uri)},
        "models": {model.model_id: (model.name, str(model.status), dict(model.tags)) for model in models},
        "versions": {f"{item.name}/{item.version}": (item.source, item.run_id, dict(item.tags)) for item in versions},
        "aliases": {
            model.name: {alias: int(number) for alias, number in model.aliases.items()}
            for model in client.search_registered_models()
        },
    }
