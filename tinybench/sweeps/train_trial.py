"""One training of a trial: the phases of a run without its pictures and without the test images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import keras

from tinybench import models
from tinybench.cli.console import Console
from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset
from tinybench.hardware import device
from tinybench.training import loop, phases, precision, run_phase
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Epoch


def train(config: RunConfig, dataset: Dataset, folder: Path, on_epoch: Callable[[Epoch], None]) -> dict[str, float]:
    """Train as a run of this configuration would, to the bit; the test images are not touched.

    Args:
        config: What to do.
        dataset: The images.
        folder: For checkpoints, removed at the end; `start.keras` in it is the whole model before training.
        on_epoch: Called after each epoch; what it raises ends the training.

    Returns:
        `best/val_…` as a run has them, and `efficiency/training_seconds`.

    Raises:
        TinybenchError: as of a run.
    """
    keras.backend.clear_session()  # of the trial before
    device.repeatable(config.seed, config.deterministic)
    model = models.build(config, dataset.shape, len(dataset.class_names))
    phases.check(model, config)
    found: dict[str, float] = {}
    before, seconds = 0, 0.0
    try:
        for phase in config.phases:
            store = Store(folder / phase, 1)
            with run_phase.ready(
                model, config, phase, dataset, store.folder, trained=bool(before), watcher=Console()
            ) as ready:
                model = ready.model
                with precision.computing(ready.trainer, ready.computed.precision):
                    progress = loop.fit(
                        ready.trainer,
                        ready.feed,
                        config,
                        phase,
                        store,
                        offset=before,
                        candidate=bool(before),
                        on_epoch=on_epoch,
                        on_step=lambda epoch, steps, loss: None,
                    )
            before, seconds = progress.epochs[-1].number, seconds + progress.seconds
            found = {f"best/{name.replace('/', '_')}": value for name, value in progress.best.items()}
    finally:
        rmtree(folder, ignore_errors=True)
    return found | {"best/epoch": float(progress.best_epoch), "efficiency/training_seconds": seconds}
