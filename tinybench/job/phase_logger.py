"""Log the events of a phase to its run while it trains."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from tinybench.efficiency import training_cost
from tinybench.job import data_plots
from tinybench.job.remote_checkpoints import RemoteCheckpoints
from tinybench.tracking import run_record, system_metrics
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from tinybench.features.feed_decision import FeedDecision
    from tinybench.job.run_context import RunContext
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.training.phase_context import PhaseContext
    from tinybench.training.precision import PrecisionChoice
    from tinybench.training.progress import Epoch, Progress


class PhaseLogger(RunCallbacks):
    """Logs a phase to its child run, and the metrics of its epochs to the parent run as well.

    Attributes:
        gpu: The GPU memory and energy of the training, once it has begun.
    """

    def __init__(self, context: RunContext, child: RunWriter) -> None:
        self._context = context
        self._child = child
        self._monitors = ExitStack()
        self._remote: RemoteCheckpoints | None = None
        self.gpu = training_cost.GpuUsage(None)

    def on_phase_begin(self, context: PhaseContext, feed: FeedDecision, precision: PrecisionChoice) -> None:
        """Log how the phase is fed and what it computes in, and start to monitor the GPU."""
        run_record.log_feed(self._child, feed, precision)
        if context.config.track.checkpoints == "remote":
            self._remote = RemoteCheckpoints(self._child, context.checkpoints)
            self._remote.upload_start()
        if context.config.track.pictures:
            data_plots.log_augmented_images(
                self._child, context.config, context.phase, context.dataset, augmented=feed.augmented
            )
        self.gpu = self._monitors.enter_context(training_cost.monitor_gpu(self._context.device))
        self._monitors.enter_context(system_metrics.log_system_metrics(self._child, self._count_samples()))

    def _count_samples(self) -> int:
        """Return how many samples of system metrics the run has, which is the first step of further ones."""
        if not (self._context.resumed and system_metrics.is_enabled()):
            return 0
        return len(self._context.tracker.read_metric(self._child.key, "system/cpu_utilization_percentage"))

    def on_epoch_end(self, epoch: Epoch) -> None:
        """Log the epoch's metrics, after its checkpoint: an epoch that the store has can be resumed from."""
        if self._remote is not None:
            self._remote.upload_latest()
        for run in (self._child, self._context.run):  # the run list of the MLflow UI shows the parent
            run.log_metrics(epoch.metrics, epoch.number, epoch.timestamp)
        self._context.pass_on_notices()

    def on_train_end(self, progress: Progress) -> None:
        """Stop monitoring the GPU."""
        self.close()

    def clear_remote_checkpoints(self) -> None:
        """Free the space of the checkpoints in the store: the phase is finished."""
        if self._remote is not None:
            self._remote.clear()

    def close(self) -> None:
        """Stop monitoring the GPU, whatever happened."""
        self._monitors.close()
