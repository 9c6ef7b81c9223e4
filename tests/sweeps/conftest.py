"""A small study in a database of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import TEXT

from tinybench.sweeps import optuna_storage, space_file
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.db"


@pytest.fixture
def made(storage_url: str) -> Study:
    return Study.create(optuna_storage.connect(storage_url), "small", space_file.read(TEXT, "small"), {})


@pytest.fixture
def queue(made: Study) -> TrialQueue:
    return TrialQueue(made)
