"""Receive the events of a run: the terminal, the tracker and tests implement the methods that they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.efficiency.measurement import Measurement
    from tinybench.features.feed_decision import FeedDecision
    from tinybench.tracking.results import Result
    from tinybench.training.phase_context import PhaseContext
    from tinybench.training.precision import PrecisionChoice
    from tinybench.training.progress import Epoch, Progress


class RunCallbacks:
    """Receive the events of a run; every method does nothing unless it is overridden.

    An exception that a method raises ends the run.
    """

    def on_run_begin(self, config: RunConfig, dataset: Dataset, device: str, link: str) -> None:
        """Handle a run that is about to train; `link` is its page in the MLflow UI."""

    def on_fold_begin(self, number: int, count: int) -> None:
        """Handle the start of fold `number`, counted from 1, of `count` folds."""

    def on_phase_begin(self, context: PhaseContext, feed: FeedDecision, precision: PrecisionChoice) -> None:
        """Handle the start of a phase's training; how it is fed and what it computes in have been decided."""

    def on_features_begin(self, images: int) -> None:
        """Handle the start of computing the features of `images` images."""

    def on_features_step(self, images: int) -> None:
        """Handle the features of `images` more images."""

    def on_features_end(self) -> None:
        """Handle the end of computing features, also after an error."""

    def on_step_end(self, epoch: int, step: int, loss: float) -> None:
        """Handle the steps done so far in an epoch; called about once a second with the epoch's mean loss so far."""

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Handle an epoch whose checkpoint is on disk; a resumed phase repeats its finished epochs first."""

    def on_train_end(self, progress: Progress) -> None:
        """Handle the end of a phase's training; the best weights are in place, nothing has been evaluated."""

    def on_phase_end(self, phase: str, metrics: dict[str, float]) -> None:
        """Handle a phase whose final metrics have been logged."""

    def on_folds_end(self, result: Result) -> None:
        """Handle the end of a run with folds."""

    def on_run_end(self, result: Result) -> None:
        """Handle the end of a run without folds."""

    def on_measurement(self, measurement: Measurement) -> None:
        """Handle the measurement of a model that is not trained, such as by the command `measure`."""

    def on_probe_sample(self, accuracies: dict[str, float], train: int, validation: int) -> None:
        """Handle the first result of a probe: the accuracy of each model on validation images of a sample.

        Args:
            accuracies: By model, as it was given: a name or a path.
            train: Number of training images in the sample.
            validation: Number of validation images in the sample.
        """

    def on_message(self, text: str) -> None:
        """Handle one line for the person who waits: a plan, a decision with its reason, a pause.

        Lines about what takes longer than two seconds come from another thread.
        """

    def close(self) -> None:
        """Release what the callbacks hold, such as a progress bar; called whatever happened, perhaps twice."""


class CallbackChain(RunCallbacks):
    """Passes every event on to several callbacks, in their order."""

    def __init__(self, *callbacks: RunCallbacks) -> None:
        self.callbacks = callbacks


def _call_each(event: str) -> Callable[..., None]:
    def call(self: CallbackChain, *args: Any) -> None:
        for callbacks in self.callbacks:
            getattr(callbacks, event)(*args)

    return call


for _event in [name for name in vars(RunCallbacks) if name.startswith("on_") or name == "close"]:
    setattr(CallbackChain, _event, _call_each(_event))
