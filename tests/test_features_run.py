"""Kept features in real processes: killed while they are computed, and wanted by two runs at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tinybench.job import train as job

# Slow enough to be killed in the middle: six shards of the 1,438 digits
_SLOW = {"model": "mobilenetv2", "image_size": 96, "phases": "transfer", "transfer.epochs": 2, "engine": "keras"}
_SLOW |= {"track.pictures": "false", "track.costs": "off"}


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(job.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "tinybench", *words],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def train(folder: Path, **settings: object) -> subprocess.Popen[str]:
    words = [word for key, value in (_SLOW | settings).items() for word in (f"--{key}", str(value))]
    return start(folder, "train", "--recipe", "quickstart", *words)


def shards(cache: Path) -> list[Path]:
    return sorted(cache.glob("features/*/*.npy"))


def computed(store: str, parent: str) -> int:
    """How many images' features a run computed itself."""
    client = MlflowClient(store)
    experiment = client.get_run(parent).info.experiment_id
    child = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")[0]
    return int(json.loads(client_text(client, child.info.run_id))["feed"]["images"])


def client_text(client: MlflowClient, run_id: str) -> str:
    return Path(client.download_artifacts(run_id, "feed.json")).read_text()


def parents(store: str) -> list[str]:
    found = MlflowClient(store).search_runs(["0", "1"])
    return [run.info.run_id for run in found if "mlflow.parentRunId" not in run.data.tags]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    MlflowClient(uri).search_runs(["0", "1"])  # makes the tables, before two processes would at once
    return uri


@pytest.mark.slow
def test_killed_while_features_are_computed_it_goes_on_where_it_was(tmp_path: Path, store: str) -> None:
    process = train(tmp_path)
    deadline = time.monotonic() + 120
    while not shards(tmp_path / "cache") and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    before = {file.name: file.stat().st_mtime_ns for file in shards(tmp_path / "cache")}
    assert 1 <= len(before) < 6

    [run_id] = parents(store)
    resumed = start(tmp_path, "resume", run_id)
    output, errors = resumed.communicate(timeout=200)
    assert resumed.returncode == 0, errors
    after = {file.name: file.stat().st_mtime_ns for file in shards(tmp_path / "cache")}
    assert len(after) == 6
    assert before.items() <= after.items(), "what was there is not computed again"
    assert computed(store, run_id) == 1_438 - 256 * len(before)
    assert MlflowClient(store).get_run(run_id).info.status == "FINISHED"
    assert re.search(r"computing features of 1,438 images as they are at pooling \(1280\)", output)


@pytest.mark.slow
def test_two_runs_at_once_compute_the_same_features_once(tmp_path: Path, store: str) -> None:
    processes = [train(tmp_path, **{"transfer.lr": lr}) for lr in (1e-3, 1e-2)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sum(computed(store, run_id) for run_id in parents(store)) == 1_438
    assert len(shards(tmp_path / "cache")) == 6
