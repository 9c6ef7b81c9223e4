"""What happens between epochs, as Keras callbacks."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinybench.config.sections import PhaseConfig
from tinybench.core.errors import ConfigError, in_one_line
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Epoch, Progress

# What Keras's own callbacks count between epochs; their constructors forget it, so checkpoints carry it.
_COUNTERS = ("best", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


def patience(phase: PhaseConfig, monitor: str) -> list[keras.callbacks.Callback]:
    """Keras's EarlyStopping and ReduceLROnPlateau, where the phase asks for them."""
    figure = monitor.replace("/", "_")
    mode = "max" if monitor == "val/accuracy" else "min"
    chosen: list[keras.callbacks.Callback] = []
    if phase.schedule == "plateau":
        chosen.append(
            keras.callbacks.ReduceLROnPlateau(
                figure, mode=mode, factor=phase.plateau_factor, patience=phase.plateau_patience
            )
        )
    if phase.patience:
        chosen.append(keras.callbacks.EarlyStopping(figure, mode=mode, patience=phase.patience))
    return chosen


def own(references: tuple[str, ...]) -> list[keras.callbacks.Callback]:
    """The user's callbacks, made anew; modules in the folder where the command runs are found as well.

    Raises:
        ConfigError: there is no such module or class, it cannot be made without arguments, or it is no callback.
    """
    return [_made(reference) for reference in references]


def _made(reference: str) -> keras.callbacks.Callback:
    module, _, name = reference.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        kind = getattr(importlib.import_module(module), name)
        if isinstance(kind, type) and issubclass(kind, keras.callbacks.Callback):
            return kind()
    except Exception as error:  # a user's module may raise whatever it likes
        raise ConfigError(f"Invalid value for `callbacks`: {reference} cannot be had: {in_one_line(error)}") from error
    raise ConfigError(f"Invalid value for `callbacks`: expected a class of keras.callbacks.Callback, got {reference}.")


class Keeper(keras.callbacks.Callback):
    """Ends an epoch: gathers its metrics, keeps the best weights, writes the checkpoint, then reports.

    It must be the last in the list, so that the counters it stores are those after the epoch.
    """

    def __init__(
        self,
        store: Store,
        progress: Progress,
        *,
        images: int,
        monitor: str,
        every: int,
        offset: int,
        siblings: list[keras.callbacks.Callback],
        report: Callable[[Epoch], None],
    ) -> None:
        """Args: where to write, how far it had come, images of an epoch; epochs before this phase in `offset`."""
        super().__init__()
        self.store = store
        self.progress = progress
        self.images = images
        self.monitor = monitor
        self.every = every
        self.offset = offset
        self.siblings = siblings
        self.report = report
        self._unreported: list[Epoch] = []
        self._began = self._trained = 0.0
        self._lr = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Give Keras's callbacks the counters that they had."""
        for name, sibling in self._named().items():
            vars(sibling).update(self.progress.counters.get(name, {}))

    def _named(self) -> dict[str, keras.callbacks.Callback]:
        """The callbacks by class and, since there may be several of one, place."""
        return {f"{type(sibling).__name__} {place}": sibling for place, sibling in enumerate(self.siblings)}

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the epoch's clock."""
        self._lr = float(self.model.optimizer.learning_rate)
        self._began = time.perf_counter()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stop the clock: validation is not training."""
        self._trained = time.perf_counter() - self._began

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write first, report after: a point that was logged is always in a checkpoint."""
        done = Epoch(self.offset + epoch + 1, self._metrics(logs or {}), time.time_ns() // 1_000_000)
        self.progress.epochs.append(done)
        self._unreported.append(done)
        self._keep_best(done)
        last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        self.progress.stopped = last
        self.progress.counters = {name: _counters(sibling) for name, sibling in self._named().items()}
        if last or (epoch + 1) % self.every == 0:
            self.store.save(self.model, self.progress)
            for finished in self._unreported:
                self.report(finished)
            self._unreported.clear()

    def _metrics(self, logs: dict[str, float]) -> dict[str, float]:
        names = ("loss", "accuracy", "top5")
        return (
            {f"train/{name}": float(logs[name]) for name in names}
            | {f"val/{name}": float(logs[f"val_{name}"]) for name in names}
            | {
                "train/lr": self._lr,
                "train/seconds": self._trained,
                "train/images_per_second": self.images / self._trained,
            }
        )

    def _keep_best(self, epoch: Epoch) -> None:
        value, best = epoch.metrics[self.monitor], self.progress.best.get(self.monitor)
        if best is None or math.isnan(best) or (value > best if self.monitor == "val/accuracy" else value < best):
            self.progress.best = {name: epoch.metrics[name] for name in epoch.metrics if name.startswith("val/")}
            self.progress.best_epoch = epoch.number
            self.store.save_best(self.model, epoch.number)


def _counters(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Those of its counters that are numbers; a user's own callback may call anything else the same."""
    known = {name: vars(callback)[name] for name in _COUNTERS if name in vars(callback)}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in known.items()}
    return {name: value for name, value in plain.items() if value is None or isinstance(value, (int, float))}
