"""The context of a run, which every step of it receives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinybench.core import waiting
from tinybench.core.redaction import redact
from tinybench.tracking import tensorboard_events
from tinybench.tracking.journal.journal import is_key

if TYPE_CHECKING:
    import keras

    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.run_writer import RunWriter
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
        first_model: The model with which the first phase begins; None if it is built, or loaded, when that begins.
        resumed: Some phases may be finished.
        scored: The phases are evaluated on the test images; those of folds are not.
    """

    config: RunConfig
    tracker: Tracker
    run: RunWriter
    callbacks: RunCallbacks
    dataset: Dataset
    folder: Path
    device: str
    start_from: str | None = None
    first_model: keras.Model | None = None
    resumed: bool = False
    scored: bool = True

    def pass_on_notices(self) -> None:
        """Tell the callbacks when the store stops or begins to answer."""
        while (notice := self.run.store.take_notice()) is not None:
            self.callbacks.on_message(notice)

    def send_all(self, model_key: str) -> dict[str, Any]:
        """Wait until the store has the run, unless it does not answer.

        Args:
            model_key: The key of the logged model.

        Returns:
            The fields of the `Result` that depend on the store.
        """
        writer = self.run.store
        with waiting.tell_if_slow(f"sending what was logged to {redact(self.tracker.uri)}"):
            writer.flush()
        self.pass_on_notices()
        model_id = writer.id_of(model_key)
        return {
            "run_id": self.run.id,
            "tracking_uri": self.tracker.uri,
            "link": self.tracker.link(self.run),
            "model_uri": "" if is_key(model_id) else f"models:/{model_id}",
            "unsent": writer.count_unsent(),
        }

    def write_events(self, run: RunWriter) -> None:
        """Write TensorBoard event files of a run that is about to end, if the configuration asks for them."""
        if self.config.track.tensorboard:
            tensorboard_events.write_events(self.tracker, run)
