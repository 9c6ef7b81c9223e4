"""Finished runs by accuracy and cost: which of them no other beats, on one machine."""

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
from tinybench.tracking import run_record, tags
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

_LEVEL = 0.95
_MEGA = 1e6


def draw(run_ids: Sequence[str], output: Path, device: str = "cpu", uri: str | None = None) -> list[Path]:
    """Draw runs by accuracy, latency and size, with the data beside the picture.

    Args:
        run_ids: At least two runs, or phases of runs.
        output: The picture, whose name ends in `.png`.
        device: Whose latency: `cpu` or `gpu`.
        uri: The store that holds them; MLflow's default when None.

    Returns:
        The picture and its table.

    Raises:
        ConfigError: fewer than two different runs.
        TrackingError: a run that is not there or was not measured, or runs of different machines.
    """
    tracker = Tracker.at(uri)
    found = {run_id: run_record.find_final_run(tracker, run_id) for run_id in dict.fromkeys(run_ids)}
    if len(found) < 2:
        raise ConfigError("Give at least two different runs to compare.")
    points = [_point(tracker, run_id, run, device) for run_id, run in found.items()]
    _check_machines(found, tags.MACHINE + device)
    _check_images({run_id: tracker.find_top_run(run_id) for run_id in found})
    pareto_front.plot_pareto_front(points).savefig(output, dpi=120)
    data = output.with_suffix(".csv")
    data.write_text(pareto_front.pareto_front_csv(points), encoding="utf-8")
    return [output, data]


def _point(tracker: Tracker, run_id: str, run: MlflowRun, device: str) -> ParetoPoint:
    figures = run.data.metrics
    wanted = ("test/accuracy", f"efficiency/{device}_latency_p50_ms")
    missing = [name for name in wanted if name not in figures]
    if missing:
        way = (
            "was trained and tested"
            if missing[0] in wanted[:1]
            else f"measured its model on the {device} (track.costs)"
        )
        raise TrackingError(f"Run {run_id} has no {missing[0]}: give a finished run that {way}.")
    config = run_record.read_config(tracker, tracker.find_top_run(run_id))
    low, high = _median_interval(_seconds(tracker, run, device))
    accuracy = figures["test/accuracy"]
    return ParetoPoint(
        f"{config.track.run_name or description.name(config)} ({run_id[:8]})",
        accuracy,
        figures.get("test/accuracy_low", accuracy),
        figures.get("test/accuracy_high", accuracy),
        figures[wanted[1]],
        1000 * low,
        1000 * high,
        figures["efficiency/weight_bytes"] / _MEGA,
        figures.get(f"efficiency/{device}_nvml_peak_bytes", figures[f"efficiency/{device}_memory_peak_bytes"]) / _MEGA,
    )


def _seconds(tracker: Tracker, run: MlflowRun, device: str) -> NDArray[np.float64]:
    """Every call that was timed."""
    with TemporaryDirectory() as folder:
        kept = json.loads(tracker.download_artifact(run, f"efficiency/{device}.json", Path(folder)).read_text("utf-8"))
    return np.concatenate([each["seconds"] for each in kept])


def _median_interval(seconds: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of a median, of whatever distribution: by how many of the calls lie below it (binomial)."""
    ordered = np.sort(seconds)
    low, high = stats.binom.interval(_LEVEL, len(ordered), 0.5)
    return float(ordered[max(int(low) - 1, 0)]), float(ordered[min(int(high), len(ordered) - 1)])


def _check_images(found: dict[str, MlflowRun]) -> None:
    """Accuracies on other images are another axis."""
    images = {
        run_id: tuple(run.data.tags.get(tag) for tag in tags.SAME_TEST_IMAGES) for run_id, run in found.items()
    }
    first = next(iter(images))
    for run_id, own in images.items():
        if not any(a == b is not None for a, b in zip(own, images[first], strict=True)):
            raise TrackingError(
                f"Runs {first} and {run_id} were tested on different images: their accuracies cannot be put beside "
                "each other. Give runs of one data set."
            )


def _check_machines(found: dict[str, MlflowRun], tag: str) -> None:
    machines = {run_id: run.data.tags.get(tag, "") for run_id, run in found.items()}
    first = next(iter(machines))
    other = next((run_id for run_id, machine in machines.items() if machine != machines[first]), None)
    if other is not None:
        raise TrackingError(
            f"Runs {first} and {other} were measured on different machines, or with different libraries: their "
            "times cannot be put beside each other. Give runs of one machine."
        )
