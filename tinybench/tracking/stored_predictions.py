"""Store a model's predictions with its run, and read them back; imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from tinybench.evaluation.predictions import Predictions

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker

_PREDICTIONS = "predictions"


def log_predictions(run: RunWriter, split: str, predictions: Predictions) -> None:
    """Store a model's predictions for every image of a split."""
    run.log_arrays(predictions_path(split), **predictions.arrays())


def predictions_path(split: str) -> str:
    """Return the artifact with a model's predictions for a split."""
    return f"{_PREDICTIONS}/{split}.npz"


def read_predictions(tracker: Tracker, run: MlflowRun, split: str) -> Predictions | None:
    """Return the predictions that `log_predictions` stored; None if the run has none."""
    with TemporaryDirectory() as folder:
        try:
            file = tracker.download_artifact(run.info.run_id, predictions_path(split), Path(folder))
        except OSError:
            return None
        with np.load(file, allow_pickle=False) as arrays:
            return Predictions.from_arrays(arrays)
