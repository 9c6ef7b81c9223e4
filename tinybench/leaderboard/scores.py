"""Which test images each run classifies correctly, read from its stored predictions once."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinybench.evaluation import metrics
from tinybench.leaderboard.entries import Entry
from tinybench.tracking import stored_predictions
from tinybench.tracking.run_cache import RunCache
from tinybench.tracking.tracker import Tracker

METRICS = ("accuracy", "top5")
"""The metrics by which models can be ranked: each is a mean over images."""

_NAME = "scores-1"
_TOP = 5


@dataclass(frozen=True)
class RunScores:
    """Test images that a run classifies correctly.

    Attributes:
        images: A hash of the test images in their order; empty if the run stored no predictions.
        predictions: A hash of its predictions: two runs that share it are one.
        correct: By metric (images,) 1 where the label is among the first classes, 0 elsewhere.
    """

    images: str
    predictions: str
    correct: dict[str, NDArray[np.float32]]


def read_scores(tracker: Tracker, cache: RunCache, entry: Entry) -> RunScores:
    """Return the scores of a phase from the cache, or from its artifacts when it is asked for the first time."""
    stored = cache.derive(entry.phase_run.run_id, _NAME, lambda: _encode(tracker, entry.phase_run.run_id))
    if not stored:
        return RunScores("", "", {})
    with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
        count = int(arrays["count"])
        correct = {name: np.unpackbits(arrays[name], count=count).astype(np.float32) for name in METRICS}
        return RunScores(str(arrays["images"]), str(arrays["predictions"]), correct)


def _encode(tracker: Tracker, run_id: str) -> bytes:
    """Return the scores of a run as an npz file; nothing if it stored no predictions."""
    predictions = stored_predictions.read_predictions(tracker, tracker.get_run(run_id), "test")
    if predictions is None:
        return b""
    probabilities, labels = predictions.probabilities(), predictions.labels
    file = io.BytesIO()
    np.savez(
        file,
        count=len(labels),
        images=hashlib.sha256(predictions.rows.tobytes() + labels.tobytes()).hexdigest(),
        predictions=hashlib.sha256(predictions.logits.tobytes()).hexdigest(),
        accuracy=np.packbits(probabilities.argmax(axis=1) == labels),
        top5=np.packbits(metrics.top_k_hits(labels, probabilities, _TOP) > 0),
    )
    return file.getvalue()
