"""A phase on pixels as a job runs it, for tests that break it off and go on."""

from __future__ import annotations

from pathlib import Path

import keras
from recorded_events import RecordedEvents

from tinybench import models
from tinybench.config import run_config as config
from tinybench.data.dataset import Dataset
from tinybench.features.feed import PixelFeed
from tinybench.training import loop, phases
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.phase_context import PhaseContext
from tinybench.training.progress import Epoch, Progress


class Training:
    """One phase; `stop_after` breaks it off as Ctrl-C would."""

    def __init__(self, folder: Path, dataset: Dataset, chosen: config.RunConfig, phase: str, offset: int = 0) -> None:
        self.store = Checkpoints(folder)
        self.dataset, self.chosen, self.phase, self.offset = dataset, chosen, phase, offset
        self.epochs: list[Epoch] = []
        self.steps: list[tuple[int, int, float]] = []
        self.trainer: keras.Model | None = None

    def run(self, *, stop_after: int | None = None, candidate: bool = False) -> tuple[keras.Model, Progress]:
        if not self.store.start.exists():
            self.store.save_start(models.build(self.chosen, self.dataset.shape, len(self.dataset.class_names)))
        model = models.load(self.store.start)
        self.trainer = phases.build_trainer(model, self.chosen, self.phase, train=self.dataset.train)
        context = PhaseContext(self.chosen, self.phase, self.dataset, self.store, self.offset, pretrained=candidate)

        def stop(epoch: Epoch) -> None:
            if epoch.number == stop_after:
                raise KeyboardInterrupt

        events = RecordedEvents(epoch_end=stop)
        events.epochs, events.steps = self.epochs, self.steps
        return model, loop.fit(self.trainer, PixelFeed(self.dataset, self.chosen.seed), context, events)


def judged(progress: Progress) -> list[dict[str, float]]:
    """Every epoch's figures but the times."""
    timed = ("train/seconds", "train/images_per_second")
    return [{name: value for name, value in e.metrics.items() if name not in timed} for e in progress.epochs]
