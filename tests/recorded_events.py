"""Callbacks that remember what they were told, and do something when they are told."""

from __future__ import annotations

from collections.abc import Callable

from tinybench.training.progress import Epoch
from tinybench.training.run_callbacks import RunCallbacks


class RecordedEvents(RunCallbacks):
    """Remembers messages, images, steps and epochs; the given functions may raise."""

    def __init__(
        self,
        *,
        message: Callable[[], object] = lambda: None,
        features_step: Callable[[int], object] = lambda images: None,
        epoch_end: Callable[[Epoch], object] = lambda epoch: None,
    ) -> None:
        self.lines: list[str] = []
        self.images: list[int] = []
        self.steps: list[tuple[int, int, float]] = []
        self.epochs: list[Epoch] = []
        self._message, self._features_step, self._epoch_end = message, features_step, epoch_end

    def on_message(self, text: str) -> None:
        self.lines.append(text)
        self._message()

    def on_features_begin(self, images: int) -> None:
        self.total = images

    def on_features_step(self, images: int) -> None:
        self.images.append(images)
        self._features_step(images)

    def on_features_end(self) -> None:
        self.lines.append("end")

    def on_step_end(self, epoch: int, step: int, loss: float) -> None:
        self.steps.append((epoch, step, loss))

    def on_epoch_end(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)
        self._epoch_end(epoch)
