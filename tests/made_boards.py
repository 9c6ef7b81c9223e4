"""Stores with finished runs that were not trained: their predictions are made, so that the right board is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray

from tinybench.evaluation.predictions import Predictions
from tinybench.leaderboard.board import build_boards
from tinybench.leaderboard.dataset_board import DatasetBoard
from tinybench.tracking import tags
from tinybench.tracking.tracker import Tracker

IMAGES, CLASSES = 400, 10


@dataclass
class MadeStore:
    """A store to which runs are added.

    Attributes:
        uri: Its address.
        images: Number of test images.
        clock: When the next run begins, in milliseconds since 1970.
    """

    uri: str
    images: int = IMAGES
    clock: int = field(default=1_700_000_000_000)

    def __post_init__(self) -> None:
        self.client = MlflowClient(self.uri)
        self.experiment = self.client.create_experiment("boards")
        self.labels = np.arange(self.images) % CLASSES

    def correct(self, wrong: int, shift: int = 0) -> NDArray[np.bool_]:
        """Return (images,) whether an image is classified correctly, with `wrong` errors from image `shift` on."""
        correct = np.ones(self.images, bool)
        correct[(shift + np.arange(wrong)) % self.images] = False
        return correct

    def add(
        self,
        model: str,
        seed: int,
        correct: NDArray[np.bool_] | None,
        *,
        params: Mapping[str, str] | None = None,
        run_tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        parent: str | None = None,
        phase: str = "transfer",
        noise: int | None = None,
        test_hash: str = "t",
    ) -> tuple[str, str]:
        """Add a finished run with one phase, and return the ids of both.

        Args:
            model: The model.
            seed: The seed.
            correct: (images,) which images its predictions classify correctly; None for a run without predictions.
            params: Other settings.
            run_tags: Tags of both runs.
            metrics: Metrics of the phase besides its accuracy.
            parent: The run to which it belongs.
            phase: The phase.
            noise: Seed of what its logits have besides the class; the seed and the model by default.
            test_hash: The hash of the test images.
        """
        settings = {"model": model, "dataset": "made", "seed": str(seed), "phases": phase, "batch_size": "32"}
        settings |= params or {}
        shared = {tags.TEST_HASH: test_hash, **(run_tags or {})}
        run = self._create({**shared, tags.KIND: "training"} | ({tags.PARENT_RUN: parent} if parent else {}))
        child = self._create({**shared, tags.KIND: "phase", tags.PHASE: phase, tags.PARENT_RUN: run})
        values = {} if correct is None else {"test/accuracy": float(correct.mean())}
        for run_id in (run, child):
            self.client.log_batch(
                run_id,
                metrics=[Metric(name, value, self.clock, 0) for name, value in (values | dict(metrics or {})).items()],
                params=[Param(name, value) for name, value in settings.items()],
            )
        if correct is not None:
            self._log_predictions(child, correct, seed + sum(map(ord, model)) if noise is None else noise)
        for run_id in (child, run):
            self.client.set_terminated(run_id, "FINISHED", self.clock + 500)
        return run, child

    def _create(self, run_tags: Mapping[str, str]) -> str:
        self.clock += 1000
        run = self.client.create_run(self.experiment, self.clock, dict(run_tags))
        return str(run.info.run_id)

    def add_validation(self, run_id: str, correct: NDArray[np.bool_]) -> None:
        """Add predictions of validation images to the run of a phase."""
        self._log_predictions(run_id, correct, 0, "validation")

    def _log_predictions(self, run_id: str, correct: NDArray[np.bool_], noise: int, split: str = "test") -> None:
        logits = np.random.default_rng(noise).normal(0, 0.1, (self.images, CLASSES)).astype(np.float32)
        logits[np.arange(self.images), np.where(correct, self.labels, (self.labels + 1) % CLASSES)] += 5
        predictions = Predictions.from_logits(np.arange(self.images), self.labels, logits)
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"{split}.npz"
            np.savez(file, **predictions.arrays())
            self.client.log_artifact(run_id, str(file), "predictions")

    def add_tags(self, run_id: str, **values: str) -> None:
        """Add tags to a run."""
        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in values.items()])


def build_board(made: MadeStore, **options) -> DatasetBoard:
    """Build the only board of a store."""
    (board,) = build_boards(Tracker.at(made.uri), **options)
    return board
