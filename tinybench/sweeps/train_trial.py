"""Train one trial: the phases of a run, without its plots and without the test images."""

from __future__ import annotations

from pathlib import Path
from shutil import rmtree

import keras

from tinybench import models
from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset
from tinybench.hardware import device
from tinybench.training import phases
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.phase_context import PhaseContext
from tinybench.training.progress import best_metric_name
from tinybench.training.run_callbacks import RunCallbacks
from tinybench.training.run_phase import run_phase


def train_trial(config: RunConfig, dataset: Dataset, folder: Path, callbacks: RunCallbacks) -> dict[str, float]:
    """Train as a run of this configuration would, to the bit; the test images are not used.

    Args:
        config: The trial's configuration.
        dataset: The images.
        folder: For checkpoints, removed at the end; `start.keras` in it is the whole model before training.
        callbacks: Receives the events; an exception that `on_epoch_end` raises ends the training.

    Returns:
        `best/val_…` as a run has them, `best/epoch`, and `efficiency/training_seconds`.

    Raises:
        TinybenchError: As from a run.
    """
    keras.backend.clear_session()  # of the previous trial
    device.make_repeatable(config.seed, config.deterministic)
    model = models.build(config, dataset.shape, len(dataset.class_names))
    phases.check_model(model, config)
    epochs_before, seconds = 0, 0.0
    try:
        for phase in config.phases:
            checkpoints = Checkpoints(folder / phase, 1)
            context = PhaseContext(config, phase, dataset, checkpoints, epochs_before, pretrained=bool(epochs_before))
            outcome = run_phase(context, model, callbacks)
            model, progress = outcome.model, outcome.progress
            epochs_before, seconds = progress.epochs[-1].number, seconds + progress.seconds
    finally:
        rmtree(folder, ignore_errors=True)
    best = {best_metric_name(name): value for name, value in progress.best.items()}
    return best | {"best/epoch": float(progress.best_epoch), "efficiency/training_seconds": seconds}
