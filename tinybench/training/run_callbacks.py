"""Receive the events of a run: the terminal, the tracker and tests implement the methods that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.results import Result
    from tinybench.training.progress import Epoch


class RunCallbacks:
    """Receive the events of a run; every method does nothing unless it is overridden.

    An exception that a method raises ends the run.
    """

    def on_run_begin(self, config: RunConfig, dataset: Dataset, device: str, link: str) -> None:
        """Handle a run that is about to train; `link` is its page in the MLflow UI."""

    def on_fold_begin(self, number: int, count: int) -> None:
        """Handle the start of fold `number`, counted from 1, of `count` folds."""

    def on_phase_begin(self, phase: str, config: RunConfig, images: int, before: int) -> None:
        """Handle the start of a phase on `images` training images, after `before` epochs of earlier phases."""

    def on_features_begin(self, images: int) -> None:
        """Handle the start of computing the features of `images` images."""

    def on_features_step(self, images: int) -> None:
        """Handle the features of `images` more images."""

    def on_features_end(self) -> None:
        """Handle the end of computing features, also after an error."""

    def on_step_end(self, epoch: int, step: int, loss: float) -> None:
        """Handle the steps done so far in an epoch; called every few dozen steps with the last step's loss."""

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Handle an epoch whose checkpoint is on disk; a resumed phase repeats its finished epochs first."""

    def on_phase_end(self, phase: str, metrics: dict[str, float]) -> None:
        """Handle a phase whose final metrics have been logged."""

    def on_folds_end(self, result: Result) -> None:
        """Handle the end of a run with folds."""

    def on_run_end(self, result: Result) -> None:
        """Handle the end of a run without folds."""

    def on_message(self, text: str) -> None:
        """Handle one line for the person who waits: a plan, a decision with its reason, a pause."""

    def close(self) -> None:
        """Release what the callbacks hold, such as a progress bar; called once, whatever happened."""
