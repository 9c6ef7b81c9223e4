"""The only fit."""

from __future__ import annotations

from collections.abc import Callable

import keras

from tinybench.config import PhaseConfig, RunConfig
from tinybench.data.dataset import Dataset
from tinybench.training import callbacks, checkpoint
from tinybench.training.batches import Batches
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Epoch, Progress


def fit(
    trainer: keras.Model,
    dataset: Dataset,
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
        dataset: Training and validation images; the test split is not touched.
        config: The run's configuration.
        phase: `transfer` or `finetune`.
        store: Where the checkpoints are.
        offset: Epochs that earlier phases ran.
        candidate: The start weights may be the best.
        on_epoch: Called with each epoch once it is safe on disk, and again for those of a resumed phase.
        on_step: Called with (epoch, step, mean loss so far).

    Returns:
        What was trained, with the best epoch.

    Raises:
        TrainingError: a loss that is not a number, or a disk that cannot be written.
    """
    settings: PhaseConfig = getattr(config, phase)
    validation = Batches(dataset.validation, config.batch_size)
    checkpoint.seed_generators(trainer, config.seed + offset)
    progress = store.restore(trainer)
    for epoch in progress.epochs:
        on_epoch(epoch)
    if candidate and not progress.best:
        progress.best_epoch, progress.best = offset, _figures(trainer, validation)
        store.save_best(trainer, offset)
    if not progress.stopped:
        training = Batches(dataset.train, config.batch_size, config.seed)
        siblings = callbacks.patience(settings, config.monitor)
        keeper = callbacks.Keeper(
            training,
            store,
            progress,
            monitor=config.monitor,
            every=config.checkpoint.every,
            offset=offset,
            siblings=siblings,
            report=on_epoch,
        )
        trainer.fit(
            training,
            validation_data=validation,
            epochs=settings.epochs,
            initial_epoch=len(progress.epochs),
            callbacks=[callbacks.StepGuard(phase, offset, on_step), *siblings, keeper],
            shuffle=False,  # the batches know their order
            verbose=0,
        )
    store.restore_best(trainer, progress)
    return progress


def _figures(trainer: keras.Model, validation: Batches) -> dict[str, float]:
    """The validation figures of the weights as they are."""
    found = trainer.evaluate(validation, return_dict=True, verbose=0)
    return {f"val/{name}": float(value) for name, value in found.items()}
