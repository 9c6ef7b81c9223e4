"""A small study in a database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import TEXT

from tinybench.sweeps import optuna_storage, space_file, study
from tinybench.sweeps.study import Study


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db"


@pytest.fixture
def made(storage_url: str) -> Study:
    return study.create(optuna_storage.connect(storage_url), "small", space_file.read(TEXT, "small"), {})
