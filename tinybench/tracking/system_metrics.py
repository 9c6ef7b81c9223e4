"""Log MLflow's system metrics to a run while it trains, if MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING asks for them.

MLflow's own monitor writes to a store that answers and asks it for the run at every sample. This one takes the same
samples under the same names, and logs them as everything else of the run is logged, so that none is lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinybench.tracking.run_writer import RunWriter


def is_enabled() -> bool:
    """Return whether the user has asked for system metrics, as for any run of MLflow."""
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING

    return bool(MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get())


@contextmanager
def log_system_metrics(run: RunWriter, first_step: int = 0) -> Iterator[None]:
    """Log the use of processor, memory, disk, network and GPU during the block, as `system/…`.

    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL, MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING and
    MLFLOW_SYSTEM_METRICS_NODE_ID are those of MLflow. Nothing is logged unless `is_enabled`.

    Args:
        run: The run.
        first_step: The step of the first sample; of a resumed run, the number of those that it has.
    """
    if not is_enabled():
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    class Monitor(SystemMetricsMonitor):
        """Samples as MLflow does, and logs to the journal of the run."""

        def monitor(self) -> None:
            while not self._shutdown_event.is_set():
                for _ in range(self.samples_before_logging):
                    self.collect_metrics()
                    if self._shutdown_event.wait(self.sampling_interval):
                        break
                self.publish_metrics(self.aggregate_metrics())

        def publish_metrics(self, metrics: dict[str, float]) -> None:
            prefix = self._metrics_prefix + (f"{self.node_id}/" if self.node_id else "")
            named = {prefix + name: value for name, value in metrics.items()}
            run.log_metrics(named, first_step + self._logging_step, time.time_ns() // 1_000_000)
            self._logging_step += 1
            for monitor in self.monitors:
                monitor.clear_metrics()

    monitor = Monitor(run.id)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
