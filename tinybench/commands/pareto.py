"""Plot finished runs by accuracy and cost, with those on the Pareto front marked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.job import description
from tinybench.plots import pareto_front
from tinybench.plots.pareto_front import ParetoPoint
from tinybench.tracking import references, run_record, tags
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_CONFIDENCE = 0.95
_MEGA = 1e6
_DPI = 120


def draw_pareto(run_ids: Sequence[str], output: Path, *, device: str = "cpu", uri: str | None = None) -> list[Path]:
    """Plot runs by accuracy, latency, size and memory, and write the data next to the plot.

    Args:
        run_ids: At least two runs, or phases of runs.
        output: The plot's path, which ends in `.png`.
        device: The device of the latency and the memory: `cpu` or `gpu`.
        uri: The tracking store; MLflow's default if None.

    Returns:
        The paths of the plot and of its table.

    Raises:
        ConfigError: There are fewer than two different runs.
        TrackingError: A run does not exist or was not measured, or the test images or the machines of two runs differ.
    """
    tracker = Tracker.at(uri)
    run_ids = [references.find_run_id(tracker, reference) for reference in run_ids]
    final_runs = {run_id: run_record.find_final_run(tracker, run_id) for run_id in dict.fromkeys(run_ids)}
    if len(final_runs) < 2:
        raise ConfigError("Give at least two different runs to compare.")
    points = [_point(tracker, run_id, run, device) for run_id, run in final_runs.items()]
    _check_same_machine(final_runs, tags.MACHINE + device)
    _check_same_test_images({run_id: tracker.find_top_run(run_id) for run_id in final_runs})
    pareto_front.plot_pareto_front(points).savefig(output, dpi=_DPI)
    table = output.with_suffix(".csv")
    table.write_text(pareto_front.pareto_front_csv(points), encoding="utf-8")
    return [output, table]


def _point(tracker: Tracker, run_id: str, run: MlflowRun, device: str) -> ParetoPoint:
    """Return the metrics of a run that are plotted.

    Args:
        tracker: The store of the run.
        run_id: The run as it was asked for.
        run: The run that holds its final metrics.
        device: `cpu` or `gpu`.

    Raises:
        TrackingError: A metric is missing.
    """
    metrics, latency = run.data.metrics, f"efficiency/{device}_latency_p50_ms"
    for name, advice in (
        ("test/accuracy", "was trained and tested"),
        (latency, f"measured its model on the {device} (track.costs)"),
    ):
        if name not in metrics:
            raise TrackingError(f"Run {run_id} has no {name}: give a finished run that {advice}.")
    config = run_record.read_config(tracker, tracker.find_top_run(run_id))
    low, high = _median_interval(_read_call_seconds(tracker, run, device))
    accuracy = metrics["test/accuracy"]
    memory = metrics.get(f"efficiency/{device}_nvml_peak_bytes", metrics[f"efficiency/{device}_memory_peak_bytes"])
    return ParetoPoint(
        f"{config.track.run_name or description.run_name(config)} ({run_id[:8]})",
        accuracy,
        metrics.get("test/accuracy_low", accuracy),
        metrics.get("test/accuracy_high", accuracy),
        metrics[latency],
        1000 * low,
        1000 * high,
        metrics["efficiency/weight_bytes"] / _MEGA,
        memory / _MEGA,
    )


def _read_call_seconds(tracker: Tracker, run: MlflowRun, device: str) -> NDArray[np.float64]:
    """Return the duration of every timed call of a run's model, in seconds."""
    with TemporaryDirectory() as folder:
        text = tracker.download_artifact(run.info.run_id, f"efficiency/{device}.json", Path(folder)).read_text("utf-8")
    return np.concatenate([measurement["seconds"] for measurement in json.loads(text)])


def _median_interval(seconds: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % confidence interval of a median of any distribution.

    The number of values below the true median is binomial, so its quantiles are the ranks of the interval's ends.
    """
    ordered = np.sort(seconds)
    low, high = stats.binom.interval(_CONFIDENCE, len(ordered), 0.5)
    return float(ordered[max(int(low) - 1, 0)]), float(ordered[min(int(high), len(ordered) - 1)])


def _check_same_test_images(runs: dict[str, MlflowRun]) -> None:
    """Raise TrackingError unless all runs may have the same test images."""
    hashes = {run_id: [run.data.tags.get(tag) for tag in tags.SAME_TEST_IMAGES] for run_id, run in runs.items()}
    first = next(iter(hashes))
    for run_id, run_hashes in hashes.items():
        if not any(a == b is not None for a, b in zip(run_hashes, hashes[first], strict=True)):
            raise TrackingError(
                f"Runs {first} and {run_id} were tested on different images, so their accuracies cannot be compared: "
                "give runs of one data set."
            )


def _check_same_machine(runs: dict[str, MlflowRun], tag: str) -> None:
    """Raise TrackingError unless all runs were measured on one machine with the same libraries.

    Args:
        runs: Runs by their ids.
        tag: The tag that holds the hash of the machine.
    """
    machines = {run_id: run.data.tags.get(tag, "") for run_id, run in runs.items()}
    first = next(iter(machines))
    for run_id, machine in machines.items():
        if machine != machines[first]:
            raise TrackingError(
                f"Runs {first} and {run_id} were measured on different machines, or with different libraries, so "
                "their times cannot be compared: give runs of one machine."
            )
