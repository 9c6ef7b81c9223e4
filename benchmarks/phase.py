"""Train a phase as a run does, without tracking."""

import tempfile
import time
from pathlib import Path
from typing import Any

from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.phase_context import PhaseContext
from tinybench.training.progress import Progress
from tinybench.training.run_callbacks import RunCallbacks
from tinybench.training.run_phase import run_phase


class _Clock(RunCallbacks):
    """Notes when the training begins: features are stored, engine and precision are chosen."""

    def on_phase_begin(self, *_: Any) -> None:
        self.training_began = time.perf_counter()


def train(model: Any, config: RunConfig, phase: str, dataset: Dataset) -> tuple[Progress, float]:
    """Train a model in place; return the progress, and the seconds until the training began."""
    start_time, clock = time.perf_counter(), _Clock()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder) / "phase")
        context = PhaseContext(config, phase, dataset, checkpoints, pretrained=phase == "finetune")
        outcome = run_phase(context, model, clock)
    return outcome.progress, clock.training_began - start_time
