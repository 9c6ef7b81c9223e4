"""The epoch loop: the only place where a model is trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tinybench.core.errors import DivergedError
from tinybench.features.feed import Feed
from tinybench.models.seeding import seed_model
from tinybench.training.callbacks import EpochRecorder, schedule_callbacks, user_callbacks
from tinybench.training.phase_context import PhaseContext
from tinybench.training.progress import Progress
from tinybench.training.run_callbacks import RunCallbacks
from tinybench.training.steps import Steps


def fit(trainer: keras.Model, feed: Feed, context: PhaseContext, callbacks: RunCallbacks) -> Progress:
    """Train a phase to its end, from its latest checkpoint if there is one, and restore the best weights.

    Weights that were trained before are a candidate too: when no epoch beats them on the validation images, they
    are the best.

    Args:
        trainer: The compiled model of `phases.build_trainer`.
        feed: Training and validation images in the form that the trainer takes; the test split is not used.
        context: What the phase needs.
        callbacks: `on_epoch_end` is called once an epoch's checkpoint is on disk, and again for the finished
            epochs of a resumed phase; `on_step_end` about once a second.

    Returns:
        Every epoch with its metrics, and the best one.

    Raises:
        TrainingError: The loss is not a number, or the disk cannot be written.
    """
    config, before = context.config, context.epochs_before
    steps = Steps(trainer, config.batch_size)
    seed_model(trainer, config.seed + before)
    progress = context.checkpoints.restore(trainer)
    if progress.epochs:
        done, last = progress.epochs[-1].number, before + context.settings.epochs
        callbacks.on_message(f"{context.phase} goes on after epoch {done} of {last}, from its checkpoint")
    for epoch in progress.epochs:
        callbacks.on_epoch_end(epoch)
    if context.pretrained and not progress.best:
        progress.best_epoch, progress.best = before, _validate(steps, feed)
        context.checkpoints.save_best(trainer, before)
    if not progress.stopped:
        keras_callbacks = [*schedule_callbacks(context.settings, config.monitor), *user_callbacks(config.callbacks)]
        recorder = EpochRecorder(context, progress, feed.count, keras_callbacks, callbacks)
        callback_list = keras.callbacks.CallbackList(
            [*keras_callbacks, recorder], model=trainer, epochs=context.settings.epochs
        )
        trainer.stop_training = False
        callback_list.on_train_begin()
        # Epochs count from 0 over all phases; Keras's callbacks count within the phase
        for number in range(before + len(progress.epochs), before + context.settings.epochs):
            callback_list.on_epoch_begin(number - before)
            metrics = steps.train(feed.training(number), _StepReporter(context.phase, number + 1, callbacks))
            callback_list.on_test_begin()
            callback_list.on_epoch_end(number - before, metrics | _validate(steps, feed, "val_"))
            if trainer.stop_training:
                break
        callback_list.on_train_end()
    context.checkpoints.restore_best(trainer, progress)
    return progress


def _validate(steps: Steps, feed: Feed, prefix: str = "val/") -> dict[str, float]:
    """Return the metrics of the present weights on the validation images."""
    return {f"{prefix}{name}": value for name, value in steps.evaluate(feed.validation()).items()}


class _StepReporter:
    """Passes on the losses of an epoch's steps, and stops at the first that is not a number."""

    def __init__(self, phase: str, epoch: int, callbacks: RunCallbacks) -> None:
        self.phase = phase
        self.epoch = epoch
        self.callbacks = callbacks

    def __call__(self, step: int, losses: Any) -> None:
        invalid = np.flatnonzero(~np.isfinite(losses))
        if len(invalid):
            raise DivergedError(
                f"The loss is {losses[invalid[0]]} in phase {self.phase}, epoch {self.epoch}, step "
                f"{step + invalid[0] + 1}: lower {self.phase}.lr, or look at the data."
            )
        self.callbacks.on_step_end(self.epoch, step + len(losses), float(losses[-1]))
