"""A phase as a run carries it out, without tracking."""

import tempfile
import time
from pathlib import Path
from typing import Any

from tinybench.cli.console import Console
from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset
from tinybench.training import feed_selection, loop, phases, precision
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Progress


def train(model: Any, config: RunConfig, phase: str, dataset: Dataset) -> tuple[Progress, float]:
    """Train a model in place; returns the progress, and the seconds until the phase could be fed."""
    began = time.perf_counter()
    trained = phase == "finetune"
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "phase")
        with feed_selection.arranged(
            model, config, phase, dataset, store.folder, trained=trained, watcher=Console()
        ) as given:
            fed = time.perf_counter() - began
            _, trainer = phases.prepare(
                model, config, phase, given.cut, augmented=given.decision.augmented, train=dataset.train
            )
            computed = precision.settled(trainer, given.feed, config, phase, store.folder)
            with precision.computing(trainer, computed.precision):
                progress = loop.fit(
                    trainer,
                    given.feed,
                    config,
                    phase,
                    store,
                    offset=0,
                    candidate=trained,
                    on_epoch=lambda epoch: None,
                    on_step=lambda epoch, step, loss: None,
                )
    return progress, fed
