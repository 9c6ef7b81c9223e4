"""A phase on pixels as a job runs it, for tests that break it off and go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras

from tinybench import models
from tinybench.config import run_config as config
from tinybench.data.dataset import Dataset
from tinybench.features.feed import Pixels
from tinybench.training import loop, phases
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Epoch, Progress


class Training:
    """One phase; `stop_after` breaks it off as Ctrl-C would."""

    def __init__(self, folder: Path, dataset: Dataset, chosen: config.RunConfig, phase: str, offset: int = 0) -> None:
        self.store = Store(folder)
        self.dataset, self.chosen, self.phase, self.offset = dataset, chosen, phase, offset
        self.epochs: list[Epoch] = []
        self.steps: list[tuple[int, int, float]] = []
        self.trainer: keras.Model | None = None

    def run(self, *, stop_after: int | None = None, candidate: bool = False) -> tuple[keras.Model, Progress]:
        if not self.store.start.exists():
            self.store.save_start(models.build(self.chosen, self.dataset.shape, len(self.dataset.class_names)))
        model = models.load(self.store.start)
        model, self.trainer = phases.prepare(model, self.chosen, self.phase, train=self.dataset.train)
        progress = loop.fit(
            self.trainer,
            Pixels(self.dataset, self.chosen.seed),
            self.chosen,
            self.phase,
            self.store,
            offset=self.offset,
            candidate=candidate,
            on_epoch=self._until(stop_after),
            on_step=lambda *step: self.steps.append(step),
        )
        return model, progress

    def _until(self, last: int | None) -> Callable[[Epoch], None]:
        def on_epoch(epoch: Epoch) -> None:
            self.epochs.append(epoch)
            if epoch.number == last:
                raise KeyboardInterrupt

        return on_epoch


def judged(progress: Progress) -> list[dict[str, float]]:
    """Every epoch's figures but the times."""
    timed = ("train/seconds", "train/images_per_second")
    return [{name: value for name, value in e.metrics.items() if name not in timed} for e in progress.epochs]
