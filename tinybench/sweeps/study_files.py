"""The folder of a study on this machine: plots, best settings, and checkpoints of running trials."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tinybench.core import paths

_TRIAL_PREFIX = "trial-"


def study_folder(study: str) -> Path:
    """Return the folder of a study by its name."""
    return paths.state_folder() / "sweeps" / study


@contextmanager
def trial_folder(study: str) -> Iterator[Path]:
    """Yield a new folder for a trial's checkpoints, which is removed when the block ends."""
    study_folder(study).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{_TRIAL_PREFIX}{os.getpid()}-", dir=study_folder(study)) as folder:
        yield Path(folder)


def remove_stale_folders(study: str) -> None:
    """Remove the checkpoints of trials whose process was killed."""
    for folder in study_folder(study).glob(f"{_TRIAL_PREFIX}*"):
        if not _is_running(folder.name.removeprefix(_TRIAL_PREFIX).partition("-")[0]):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: str) -> bool:
    return process.isdigit() and psutil.pid_exists(int(process))
