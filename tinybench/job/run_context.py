"""The context of a run, which every step of it receives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.tracking import tensorboard_events

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.run import Run
    from tinybench.tracking.tracker import Tracker
    from tinybench.training.run_callbacks import RunCallbacks


@dataclass(frozen=True)
class RunContext:
    """The context of a run, which every step of it receives.

    Attributes:
        config: The run's configuration.
        tracker: The tracking store.
        run: The run that holds the phases: the parent run, or that of a fold.
        callbacks: Receives the events of the run.
        dataset: The images; of a fold, split as the fold has it.
        folder: Where the phases keep their checkpoints.
        device: The device, as `hardware.device.select_device` returned it.
        start_from: The run whose best weights the first phase starts from; None for a new model.
        resumed: Some phases may be finished.
        scored: The phases are evaluated on the test images; those of folds are not.
    """

    config: RunConfig
    tracker: Tracker
    run: Run
    callbacks: RunCallbacks
    dataset: Dataset
    folder: Path
    device: str
    start_from: str | None = None
    resumed: bool = False
    scored: bool = True

    def write_events(self, run: Run) -> None:
        """Write TensorBoard event files of a run that is about to end, if the configuration asks for them."""
        if self.config.track.tensorboard:
            tensorboard_events.write_events(run)
