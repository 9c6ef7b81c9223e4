"""What each run scores on each test image, read from its stored predictions once."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinybench.evaluation import metrics
from tinybench.leaderboard.entries import Entry
from tinybench.leaderboard.ranking_metrics import weigh_images
from tinybench.tracking import stored_predictions
from tinybench.tracking.run_cache import RunCache
from tinybench.tracking.tracker import Tracker

_NAME = "scores-2"
_TOP = 5


@dataclass(frozen=True)
class RunScores:
    """What a run scores on each test image.

    Attributes:
        images: A hash of the test images in their order; empty if the run stored no predictions.
        predictions: A hash of its predictions: two runs that share it are one.
        labels: (images,) true classes.
        classes: Number of classes that the model tells apart.
        by_image: For each of `ranking_metrics.METRICS` (images,) values whose mean is the metric.
    """

    images: str
    predictions: str
    labels: NDArray[np.integer]
    classes: int
    by_image: dict[str, NDArray[np.float32]]


_NONE = RunScores("", "", np.zeros(0, np.int32), 0, {})


def read_scores(tracker: Tracker, cache: RunCache, entry: Entry) -> RunScores:
    """Return the scores of a phase from the cache, or from its artifacts when it is asked for the first time."""
    stored = cache.derive(entry.phase_run.run_id, _NAME, lambda: _encode(tracker, entry.phase_run.run_id))
    if not stored:
        return _NONE
    with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
        labels = arrays["labels"]
        correct = np.unpackbits(arrays["correct"], count=len(labels)).astype(np.float32)
        by_image = {
            "accuracy": correct,
            "top5": arrays["top5"],
            "balanced_accuracy": (correct * weigh_images(labels)).astype(np.float32),
            "log_loss": arrays["log_loss"],
        }
        return RunScores(str(arrays["images"]), str(arrays["predictions"]), labels, int(arrays["classes"]), by_image)


def _encode(tracker: Tracker, run_id: str) -> bytes:
    """Return the scores of a run as an npz file; nothing if it stored no predictions."""
    predictions = stored_predictions.read_predictions(tracker, tracker.get_run(run_id), "test")
    if predictions is None:
        return b""
    probabilities, labels = predictions.probabilities(), predictions.labels
    file = io.BytesIO()
    np.savez(
        file,
        images=hashlib.sha256(predictions.rows.tobytes() + labels.tobytes()).hexdigest(),
        predictions=hashlib.sha256(predictions.logits.tobytes()).hexdigest(),
        labels=labels,
        classes=predictions.class_count,
        correct=np.packbits(probabilities.argmax(axis=1) == labels),
        top5=metrics.top_k_hits(labels, probabilities, _TOP).astype(np.float32),
        log_loss=metrics.log_loss_per_image(labels, probabilities).astype(np.float32),
    )
    return file.getvalue()
