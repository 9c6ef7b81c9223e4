"""What a study keeps on this machine: pictures, its best settings, what could not be sent, and trials' checkpoints."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tinybench.core import paths

_TRIAL = "trial-"


def folder(study: str) -> Path:
    """Where they are."""
    return paths.state() / "sweeps" / study


@contextmanager
def of_trial(study: str) -> Iterator[Path]:
    """A folder for a trial's checkpoints, while the block lasts."""
    folder(study).mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f"{_TRIAL}{os.getpid()}-", dir=folder(study)) as made:
        yield Path(made)


def spools(study: str) -> Iterator[Path]:
    """What processes of this machine could not send that are gone; those that live send their own."""
    for file in sorted(folder(study).glob("*.jsonl")):
        process = file.stem.rpartition("-")[2]
        if not (process.isdigit() and psutil.pid_exists(int(process))):
            yield file


def clear(study: str) -> None:
    """Remove what trials left whose process was killed."""
    for left in folder(study).glob(f"{_TRIAL}*"):
        process = left.name.removeprefix(_TRIAL).partition("-")[0]
        if not (process.isdigit() and psutil.pid_exists(int(process))):
            shutil.rmtree(left, ignore_errors=True)
