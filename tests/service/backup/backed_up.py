"""Stores to back up, and the commands as a person would type them."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
import stores
from click.testing import CliRunner
from mlflow.tracking import MlflowClient

from tinybench import data, models
from tinybench.cli import root
from tinybench.config.sections import TrackConfig
from tinybench.evaluation.predictions import Predictions
from tinybench.recipes.resolve import resolve
from tinybench.tracking import model_logging, stored_predictions
from tinybench.tracking.model_versions import RegisteredModel
from tinybench.tracking.tracker import Tracker


def log_champion(uri: str, name: str) -> str:
    """A run with an untrained model that is the champion of a name, and its predictions; return the run's id."""
    dataset = data.load(
        "digits", resolve("quickstart", {"data.per_class": 4, "data.test_per_class": 3}).data, 0, image_size=16
    )
    network = models.build(resolve("quickstart"), dataset.shape, len(dataset.class_names))
    tracker = Tracker(TrackConfig(uri=uri))
    run = tracker.open_parent_run("champion")
    key = model_logging.log_model(run, network, dataset, 1)
    probabilities = np.asarray(network.predict(dataset.test.images(), verbose=0))
    predictions = Predictions.from_probabilities(dataset.test.rows, dataset.test.labels, probabilities)
    stored_predictions.log_predictions(run, "test", predictions)
    run.end("FINISHED")
    tracker.require_flush()
    registered = RegisteredModel(tracker.client, name)
    version = registered.register(run.id, f"models:/{run.store.id_of(key)}", "# A card")
    registered.set_alias("champion", version.number)
    tracker.close()
    mlflow.set_tracking_uri(None)
    return run.id


def small_store(factory: pytest.TempPathFactory, folder: Path) -> tuple[str, Path]:
    """A store in a folder with small runs, and its artifacts."""
    shutil.copy(stores.fresh(factory).removeprefix("sqlite:///"), folder / "live.db")
    uri, artifacts = f"sqlite:///{folder}/live.db", folder / "live-artifacts"
    log_small_runs(uri, str(artifacts))
    return uri, artifacts


def log_small_runs(uri: str, artifacts: str, count: int = 3) -> list[str]:
    """Runs with a few points, parameters, tags and files, below a folder or bucket of artifacts."""
    client = MlflowClient(uri)
    experiment = client.create_experiment(f"small {len(client.search_experiments())}", f"{artifacts}/small")
    run_ids = []
    for number in range(count):
        run_id = client.create_run(experiment, run_name=f"run {number}", tags={"team": "ours"}).info.run_id
        for step in range(5):
            client.log_metric(run_id, "loss", 1 / (step + 1), timestamp=1_700_000_000_000 + step, step=step)
        client.log_metric(run_id, "odd", float("nan"))
        client.log_param(run_id, "number", number)
        client.log_text(run_id, f"text {number}" * 100, "notes/a b+ü.txt")
        client.log_text(run_id, "the same in all runs", "same.txt")
        client.set_terminated(run_id)
        run_ids.append(run_id)
    return run_ids


def backup(uri: str, artifacts: object, folder: object, *words: str) -> list[str]:
    """Back up, and return the lines that were printed."""
    options = ["--backend-store-uri", uri, "--artifacts-destination", str(artifacts)]
    return _run("server", *options, "backup", str(folder), *words)[1]


def restore(folder: object, uri: str, artifacts: object, *words: str) -> tuple[int, list[str]]:
    """Restore, and return the exit code and the lines that were printed."""
    options = ["--backend-store-uri", uri, "--artifacts-destination", str(artifacts)]
    return _run("server", "restore", str(folder), *options, *words)


def verify(folder: object, *words: str) -> tuple[int, list[str]]:
    return _run("server", "backup", str(folder), "--verify", *words)


def listed(folder: object) -> list[str]:
    return _run("server", "backup", str(folder), "--list")[1]


def _run(*words: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(root.cli, words, catch_exceptions=False, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value or 0, result.output.splitlines()
