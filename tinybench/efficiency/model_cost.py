"""Combine the measurements of a model over rounds, and tell how far repeated measurements lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tinybench.efficiency import measurement
from tinybench.efficiency.measurement import Measurement
from tinybench.efficiency.measurement_spec import MeasurementSpec

_THROUGHPUT = ("throughput_images_per_second", "throughput_batch")
_SAME_ON_EVERY_DEVICE = ("parameters", "weight_bytes", "flops", "macs")


@dataclass(frozen=True)
class ModelCost:
    """The cost of a model on a device, by an engine in a precision.

    Attributes:
        spec: What was measured.
        measurements: One for each round, each made in a process of its own.
    """

    spec: MeasurementSpec
    measurements: tuple[Measurement, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """The median over rounds of each metric that all rounds have, by names such as `latency_p50_ms`."""
        rounds = [measured.metrics for measured in self.measurements]
        names = [name for name in rounds[0] if all(name in values for values in rounds)]
        metrics = {name: median(values[name] for values in rounds) for name in names}
        if _THROUGHPUT[0] in metrics:  # of one round: a median may mix two batch sizes
            middle = sorted(rounds, key=lambda values: values[_THROUGHPUT[0]])[len(rounds) // 2]
            metrics |= {name: middle[name] for name in _THROUGHPUT}
        return metrics

    @property
    def logged_metrics(self) -> dict[str, float]:
        """The metrics by the names under which they are logged, such as `efficiency/cpu_latency_p50_ms`."""
        return {
            f"efficiency/{name if name in _SAME_ON_EVERY_DEVICE else f'{self.spec.device}_{name}'}": value
            for name, value in self.metrics.items()
        }


def noise_by_metric(costs: Sequence[ModelCost]) -> dict[str, float]:
    """Return by what share repeated measurements of the same model differ at most, by metric.

    Returns:
        Shares by the names of `ModelCost.metrics`; empty if every model was measured once.
    """
    if all(len(cost.measurements) == 1 for cost in costs):
        return {}
    without_noise = (*_SAME_ON_EVERY_DEVICE, "latency_calls", "throughput_batch")
    noise = {}
    for name in costs[0].metrics:
        if name not in without_noise:
            by_cost = [[measured.metrics.get(name, 0) for measured in cost.measurements] for cost in costs]
            noise[name] = measurement.noise([values for values in by_cost if min(values) > 0])
    return noise
