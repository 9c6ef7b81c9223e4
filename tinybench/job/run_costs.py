"""Measure what the model of a run costs to use, and log it to the run as `efficiency/…`.

The cost depends on the layers of a model and not on its weights, so the phases of a run share one measurement, made
in processes of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core import atomic
from tinybench.core.errors import EngineError
from tinybench.efficiency import measurement
from tinybench.efficiency.measurement import Measurement
from tinybench.efficiency.measurement_spec import MeasurementSpec
from tinybench.efficiency.model_cost import ModelCost
from tinybench.hardware import certificate
from tinybench.tracking import tags

if TYPE_CHECKING:
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.training.run_callbacks import RunCallbacks

_COSTS = "costs.json"


def measure_run(
    run: RunWriter,
    folder: Path,
    model_path: Path,
    mode: str,
    device: str,
    callbacks: RunCallbacks,
    *,
    latency_only: bool = False,
) -> dict[str, float]:
    """Measure the model of a run on the processor and on the GPU that trains it, unless that was done before.

    A model that cannot be measured does not end the run: the tag `efficiency.absent` says why there are no metrics.

    Args:
        run: Receives the measurements and the certificate of the machine, but not the metrics.
        folder: Where the run keeps its checkpoints; it also keeps the measurements for the run's other phases.
        model_path: The whole model as a `.keras` file, with any weights.
        mode: `quick`, `full` or `off`.
        device: The device of the run, as `hardware.device.select_device` returned it.
        callbacks: Receives a message if the model is measured now.
        latency_only: Measure neither throughput nor the latency from a JPEG and by Keras's `predict`.

    Returns:
        The metrics by the names under which they are logged; empty if nothing was measured.
    """
    if mode == "off":
        return {}
    stored = folder / _COSTS
    try:
        if not stored.exists():
            measured = "latency and memory" if latency_only else "latency, throughput and memory"
            callbacks.on_message(f"measuring {measured} of the model, in a process of its own")
            _measure(stored, model_path, mode, device, latency_only=latency_only)
    except EngineError as error:
        run.set_tags({tags.COSTS_ABSENT: str(error)})
        return {}
    measurements = map(Measurement.from_dict, json.loads(stored.read_text("utf-8")))
    return log_costs(run, [ModelCost(measured.spec, (measured,)) for measured in measurements])


def _measure(stored: Path, model_path: Path, mode: str, device: str, *, latency_only: bool) -> None:
    """Measure a model on each device in turn, and store the measurements."""
    gpu = re.match(r"gpu:(\d+)", device)
    devices = [("cpu", 0), *([("gpu", int(gpu[1]))] if gpu else [])]
    threads, quick = certificate.usable_threads(), mode == "quick"
    spec = MeasurementSpec(str(model_path), threads=threads, quick=quick, latency_only=latency_only)
    measurements = [measurement.measure(replace(spec, device=name, index=index)) for name, index in devices]
    atomic.write_text(stored, json.dumps([measured.to_dict() for measured in measurements]))


def log_costs(run: RunWriter, costs: Sequence[ModelCost]) -> dict[str, float]:
    """Log the measurements and the certificate of the machine to a run.

    Returns:
        The metrics by the names under which the caller logs them.
    """
    metrics: dict[str, float] = {}
    for cost in costs:
        metrics |= cost.logged_metrics
        text = json.dumps([measured.to_dict() for measured in cost.measurements], indent=1)
        run.log_text(text, f"efficiency/{cost.spec.device}.json")
    if costs:
        notes = dict.fromkeys(note for cost in costs for measured in cost.measurements for note in measured.notes)
        machines = {tags.MACHINE + cost.spec.device: cost.measurements[0].machine for cost in costs}
        run.set_tags(machines | ({tags.COST_NOTES: " ".join(notes)} if notes else {}))
    return metrics


def efficiency_ratio(metrics: dict[str, float]) -> dict[str, float]:
    """Return `efficiency/ratio`: the test accuracy in percent, divided by the milliseconds that an image takes.

    Args:
        metrics: The metrics of a run by the names under which they are logged.

    Returns:
        One metric; none if the test accuracy or the latency is not known.
    """
    accuracy, latency = metrics.get("test/accuracy"), metrics.get("efficiency/cpu_latency_p50_ms")
    if accuracy is None or not latency:
        return {}
    return {"efficiency/ratio": 100 * accuracy / latency}
