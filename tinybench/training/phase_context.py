"""The context and the outcome of a phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.config.sections import PhaseConfig

if TYPE_CHECKING:
    import keras

    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.features.feed_decision import FeedDecision
    from tinybench.training.checkpoint import Checkpoints
    from tinybench.training.precision import PrecisionChoice
    from tinybench.training.progress import Progress


@dataclass(frozen=True)
class PhaseContext:
    """Everything but the model that decides how a phase trains.

    Attributes:
        config: The run's configuration.
        phase: `scratch`, `transfer` or `finetune`.
        dataset: The images; the test split is not used.
        checkpoints: The folder for the phase's checkpoints and decisions.
        epochs_before: Epochs that the earlier phases of the run trained.
        pretrained: The weights that the phase starts from were trained for this task, by an earlier phase or run.
            Then they are a candidate for the best weights, and engines are also compared by predicted labels.
    """

    config: RunConfig
    phase: str
    dataset: Dataset
    checkpoints: Checkpoints
    epochs_before: int = 0
    pretrained: bool = False

    @property
    def settings(self) -> PhaseConfig:
        """The section of the configuration that describes this phase."""
        return self.config.phase_settings(self.phase)


@dataclass(frozen=True)
class PhaseOutcome:
    """The outcome of a phase.

    Attributes:
        model: The whole model, raw pixels to probabilities, with the best weights.
        trainer: The compiled model that was trained; it shares its weights with `model`.
        progress: Every epoch with its metrics, and the best one.
        feed: How the images or features reached the trainer.
        precision: What the trainer computed in, with the reason.
    """

    model: keras.Model
    trainer: keras.Model
    progress: Progress
    feed: FeedDecision
    precision: PrecisionChoice
