"""Keras callbacks of a phase: early stopping, learning-rate plateaus, the user's own, and the epoch recorder."""

from __future__ import annotations

import importlib
import math
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinybench.config.sections import PhaseConfig
from tinybench.core import interruption
from tinybench.core.errors import ConfigError, format_error
from tinybench.training.phase_context import PhaseContext
from tinybench.training.progress import Epoch, Progress
from tinybench.training.run_callbacks import RunCallbacks

# What Keras's own callbacks count between epochs; their constructors forget it, so checkpoints carry it.
_COUNTERS = ("best", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


def schedule_callbacks(phase: PhaseConfig, monitor: str) -> list[keras.callbacks.Callback]:
    """Return Keras's EarlyStopping and ReduceLROnPlateau, as far as the phase asks for them.

    Args:
        phase: The section of the phase.
        monitor: `val/loss` or `val/accuracy`.
    """
    metric = monitor.replace("/", "_")
    mode = "max" if monitor == "val/accuracy" else "min"
    callbacks: list[keras.callbacks.Callback] = []
    if phase.schedule == "plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                metric, mode=mode, factor=phase.plateau_factor, patience=phase.plateau_patience
            )
        )
    if phase.patience:
        callbacks.append(keras.callbacks.EarlyStopping(metric, mode=mode, patience=phase.patience))
    return callbacks


def user_callbacks(references: tuple[str, ...]) -> list[keras.callbacks.Callback]:
    """Create the user's callbacks; modules in the working directory are found as well.

    Args:
        references: `module:Class`, each created without arguments.

    Raises:
        ConfigError: There is no such module or class, it cannot be created, or it is not a Keras callback.
    """
    return [_load_callback(reference) for reference in references]


def _load_callback(reference: str) -> keras.callbacks.Callback:
    module, _, name = reference.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        callback_class = getattr(importlib.import_module(module), name)
        if isinstance(callback_class, type) and issubclass(callback_class, keras.callbacks.Callback):
            return callback_class()
    except Exception as error:  # a user's module may raise anything
        raise ConfigError(
            f"Invalid value for `callbacks`: {reference} cannot be loaded: {format_error(error)}"
        ) from error
    raise ConfigError(f"Invalid value for `callbacks`: expected a class of keras.callbacks.Callback, got {reference}.")


class EpochRecorder(keras.callbacks.Callback):
    """Ends an epoch: gathers its metrics, keeps the best weights, writes the checkpoint, then reports.

    It must be the last in the list, so that the counters it stores are those after the epoch.

    Args:
        context: The phase, with its checkpoints.
        progress: How far the phase had come; updated in place.
        images: Training images of an epoch, for images per second.
        siblings: The other Keras callbacks, whose counters are stored.
        callbacks: Receives `on_epoch_end` once the epoch's checkpoint is on disk.
    """

    def __init__(
        self,
        context: PhaseContext,
        progress: Progress,
        images: int,
        siblings: list[keras.callbacks.Callback],
        callbacks: RunCallbacks,
    ) -> None:
        super().__init__()
        self.context = context
        self.progress = progress
        self.images = images
        self.siblings = siblings
        self.callbacks = callbacks
        self._unreported: list[Epoch] = []
        self._start_time = self._train_seconds = 0.0
        self._learning_rate = 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Restore the counters of Keras's callbacks."""
        for name, sibling in self._named_siblings().items():
            vars(sibling).update(self.progress.counters.get(name, {}))

    def _named_siblings(self) -> dict[str, keras.callbacks.Callback]:
        """Return the callbacks by class and, since there may be several of one class, position."""
        return {f"{type(sibling).__name__} {index}": sibling for index, sibling in enumerate(self.siblings)}

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the epoch's clock, unless the training was interrupted and has not noticed."""
        interruption.raise_lost()
        self._learning_rate = float(self.model.optimizer.learning_rate)
        self._start_time = time.perf_counter()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Stop the clock: validation is not training."""
        self._train_seconds = time.perf_counter() - self._start_time

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write first, report after: an epoch that was reported is always in a checkpoint."""
        number = self.context.epochs_before + epoch + 1
        finished = Epoch(number, self._metrics(logs or {}), time.time_ns() // 1_000_000)
        self.progress.epochs.append(finished)
        self._unreported.append(finished)
        self._update_best(finished)
        last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        self.progress.stopped = last
        self.progress.counters = {name: _counters(sibling) for name, sibling in self._named_siblings().items()}
        if last or (epoch + 1) % self.context.config.checkpoint.every == 0:
            self.context.checkpoints.save(self.model, self.progress)
            for unreported in self._unreported:
                self.callbacks.on_epoch_end(unreported)
            self._unreported.clear()

    def _metrics(self, logs: dict[str, float]) -> dict[str, float]:
        names = ("loss", "accuracy", "top5")
        return (
            {f"train/{name}": float(logs[name]) for name in names}
            | {f"val/{name}": float(logs[f"val_{name}"]) for name in names}
            | {
                "train/lr": self._learning_rate,
                "train/seconds": self._train_seconds,
                "train/images_per_second": self.images / self._train_seconds,
            }
        )

    def _update_best(self, epoch: Epoch) -> None:
        monitor = self.context.config.monitor
        value, best = epoch.metrics[monitor], self.progress.best.get(monitor)
        if best is None or math.isnan(best) or (value > best if monitor == "val/accuracy" else value < best):
            self.progress.best = {name: epoch.metrics[name] for name in epoch.metrics if name.startswith("val/")}
            self.progress.best_epoch = epoch.number
            self.context.checkpoints.save_best(self.model, epoch.number)


def _counters(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """Return the counters of a callback that are numbers; a user's own may use the same names for anything."""
    counters = {name: vars(callback)[name] for name in _COUNTERS if name in vars(callback)}
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in counters.items()}
    return {name: value for name, value in values.items() if value is None or isinstance(value, (int, float))}
