"""The only fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import PhaseConfig
from tinybench.core.errors import DivergedError
from tinybench.features.feed import Feed
from tinybench.training import callbacks, checkpoint
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Epoch, Progress
from tinybench.training.steps import Steps


def fit(
    trainer: keras.Model,
    feed: Feed,
    config: RunConfig,
    phase: str,
    store: Store,
    *,
    offset: int,
    candidate: bool,
    on_epoch: Callable[[Epoch], None],
    on_step: Callable[[int, int, float], None],
) -> Progress:
    """Train a phase to its end, from its latest checkpoint if there is one, and put the best weights back.

    Weights that were trained before are a candidate too: when no epoch beats them on validation, they are
    the best.

    Args:
        trainer: The compiled model of `phases.prepare`.
        feed: Training and validation images in the form that the trainer takes; the test split is not touched.
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        store: Where the checkpoints are.
        offset: Epochs that earlier phases ran.
        candidate: The start weights may be the best.
        on_epoch: Called with each epoch once it is safe on disk, and again for those of a resumed phase.
        on_step: Called now and then with (epoch, steps done, mean loss so far).

    Returns:
        What was trained, with the best epoch.

    Raises:
        TrainingError: a loss that is not a number, or a disk that cannot be written.
    """
    steps = Steps(trainer, config.batch_size)
    checkpoint.seed_generators(trainer, config.seed + offset)
    progress = store.restore(trainer)
    for epoch in progress.epochs:
        on_epoch(epoch)
    if candidate and not progress.best:
        progress.best_epoch, progress.best = offset, _validated(steps, feed)
        store.save_best(trainer, offset)
    if not progress.stopped:
        settings: PhaseConfig = getattr(config, phase)
        siblings = [*callbacks.patience(settings, config.monitor), *callbacks.own(config.callbacks)]
        keeper = callbacks.Keeper(
            store,
            progress,
            images=feed.count,
            monitor=config.monitor,
            every=config.checkpoint.every,
            offset=offset,
            siblings=siblings,
            report=on_epoch,
        )
        watching = keras.callbacks.CallbackList([*siblings, keeper], model=trainer, epochs=settings.epochs)
        guard = _Guard(phase, on_step)
        _train(steps, feed, watching, guard, range(offset + len(progress.epochs), offset + settings.epochs), offset)
    store.restore_best(trainer, progress)
    return progress


def _train(
    steps: Steps, feed: Feed, watching: keras.callbacks.CallbackList, guard: _Guard, epochs: range, offset: int
) -> None:
    """Epochs, counted from 0 over all phases, until the last or until a callback stops them."""
    steps.trainer.stop_training = False
    watching.on_train_begin()
    for epoch in epochs:
        watching.on_epoch_begin(epoch - offset)
        guard.epoch = epoch + 1
        figures = steps.train(feed.training(epoch), guard)
        watching.on_test_begin()
        watching.on_epoch_end(epoch - offset, figures | _validated(steps, feed, "val_"))
        if steps.trainer.stop_training:
            break
    watching.on_train_end()


def _validated(steps: Steps, feed: Feed, prefix: str = "val/") -> dict[str, float]:
    """The validation figures of the weights as they are."""
    return {f"{prefix}{name}": value for name, value in steps.evaluate(feed.validation()).items()}


class _Guard:
    """Stops at the first loss that is not a number and says where; reports how far an epoch has come."""

    def __init__(self, phase: str, report: Callable[[int, int, float], None]) -> None:
        self.phase = phase
        self.report = report
        self.epoch = 0

    def __call__(self, step: int, losses: Any) -> None:
        wrong = np.flatnonzero(~np.isfinite(losses))
        if len(wrong):
            raise DivergedError(
                f"The loss is {losses[wrong[0]]} in phase {self.phase}, epoch {self.epoch}, step "
                f"{step + wrong[0] + 1}: lower {self.phase}.lr, or look at the data."
            )
        self.report(self.epoch, step + len(losses), float(losses[-1]))
