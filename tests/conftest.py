"""What every test shares: its own folders and store, and the real data where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("tinybench", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("tinybench")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # figures of the suite are those of the processor


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in an empty folder, with caches, checkpoints and the default store inside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TINYBENCH_STATE", str(tmp_path / "state"))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    yield tmp_path
    os.environ.pop("TINYBENCH_OFFLINE", None)  # `--offline` that was parsed and not run


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets and the pretrained backbone, named by TINYBENCH_DATA."""
    folder = os.environ.get("TINYBENCH_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("TINYBENCH_DATA names no folder with the real data")
    return Path(folder).resolve()
