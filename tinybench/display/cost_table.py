"""Print what models cost, the fastest first; models that the noise does not separate share a rank."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.commands.measure import MeasureResult
    from tinybench.efficiency.model_cost import ModelCost

_SPEED_TITLES = ("p50 ms", "p90", "p99", "max images/s", "at batch", "first call ms")
_SIZE_TITLES = ("image px", "JPEG to label ms", "predict() ms", "peak MB", "M params", "GFLOPs")


def print_cost_tables(result: MeasureResult, terminal: Terminal) -> None:
    """Print a table of speed and one of size, then the noise, the machine and what could not be measured."""
    costs = sorted(result.costs, key=lambda cost: (cost.spec.device, cost.metrics["latency_p50_ms"]))
    noise = result.noise.get("latency_p50_ms")
    ranks = ["" for _ in costs] if noise is None else [str(rank) for rank in rank_by_latency(costs, noise)]
    several_devices = len({cost.spec.device for cost in costs}) > 1
    names = [Path(cost.spec.model).stem + (f" on {cost.spec.device}" if several_devices else "") for cost in costs]
    heads = [*zip(ranks, names, strict=True)]
    for titles, cells in ((_SPEED_TITLES, map(_speed_cells, costs)), (_SIZE_TITLES, map(_size_cells, costs))):
        _print_table(titles, [(*head, *row) for head, row in zip(heads, cells, strict=True)], terminal)
        terminal.print()
    for line in (_describe_noise(result), _describe_machine(costs[0]), *_notes(result)):
        print_text(terminal, line)


def costs_json(result: MeasureResult) -> str:
    """Return the costs, the noise and what could not be measured as one JSON object."""
    costs = [
        {
            "spec": vars(cost.spec),
            "figures": cost.metrics,
            "machine": cost.measurements[0].machine,
            "notes": [*dict.fromkeys(note for measurement in cost.measurements for note in measurement.notes)],
            "rounds": [
                {"figures": measurement.metrics, "rungs": measurement.throughputs} for measurement in cost.measurements
            ],
        }
        for cost in result.costs
    ]
    return json.dumps({"costs": costs, "noise": result.noise, "absent": result.absent}, indent=1)


def rank_by_latency(costs: Sequence[ModelCost], noise: float) -> list[int]:
    """Return the rank of each cost on its device.

    A model shares the rank of a faster one if it is slower by no more than the noise.

    Args:
        costs: Sorted by device, then by median latency.
        noise: Share by which repeated measurements of one model differ at most.
    """
    ranks: list[int] = []
    best: ModelCost | None = None  # the fastest of the current rank
    for index, cost in enumerate(costs):
        if best is None or cost.spec.device != best.spec.device:
            best, rank, device_start = cost, 1, index
        elif cost.metrics["latency_p50_ms"] > best.metrics["latency_p50_ms"] * (1 + noise):
            best, rank = cost, index - device_start + 1
        ranks.append(rank)
    return ranks


def _print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], terminal: Terminal) -> None:
    """Print the rank and the name of each model, and numbers; the ranks are left out where there are none."""
    start = 0 if any(row[0] for row in rows) else 1
    columns = (Column("rank", right=True, head=True), Column("model", head=True), *number_columns(*titles))
    print_table(terminal, columns[start:], [row[start:] for row in rows])


def _speed_cells(cost: ModelCost) -> tuple[str, ...]:
    metrics = cost.metrics
    throughput = metrics["throughput_images_per_second"] if "throughput_batch" in metrics else None
    return (
        *(f"{metrics[f'latency_p{percent}_ms']:.4g}" for percent in (50, 90, 99)),
        "" if throughput is None else f"{throughput:,.0f}" if throughput >= 1000 else f"{throughput:.4g}",
        "" if throughput is None else f"{metrics['throughput_batch']:.0f}",
        f"{metrics['first_call_ms']:,.0f}",
    )


def _size_cells(cost: ModelCost) -> tuple[str, ...]:
    metrics = cost.metrics
    flops = metrics.get("flops")
    return (
        str(cost.spec.image_size),
        f"{metrics['jpeg_to_label_p50_ms']:.4g}",
        f"{metrics['latency_predict_ms']:.4g}",
        f"{metrics.get('nvml_peak_bytes', metrics['memory_peak_bytes']) / 1e6:,.0f}",
        f"{metrics['parameters'] / 1e6:.4g}",
        "" if flops is None else f"{flops / 1e9:.3g}",
    )


def _describe_noise(result: MeasureResult) -> str:
    share = result.noise.get("latency_p50_ms")
    if share is None:
        return "Measured once: the noise is not known, so there are no ranks (--rounds 2 gives them)."
    rounds = min(len(cost.measurements) for cost in result.costs)
    noise = f"Noise: the p50 of one model differed by up to {share:.1%} between {rounds} processes"
    return f"{noise}; models that differ by less share a rank." if len(result.costs) > 1 else f"{noise}."


def _describe_machine(cost: ModelCost) -> str:
    spec, certificate = cost.spec, cost.measurements[0].certificate
    return (
        f"{certificate['machine']['cpu']}, {spec.threads} threads, load average "
        f"{certificate['before']['load_average'][0]:.2f} before; latency and memory at batch 1; {spec.engine}, "
        f"{spec.precision}. Measurements of other machines cannot be compared with these."
    )


def _notes(result: MeasureResult) -> list[str]:
    notes = [
        f"Note: {cost.spec.model}: {note}"
        for cost in result.costs
        for measurement in cost.measurements
        for note in measurement.notes
    ]
    return [*dict.fromkeys(notes), *(f"Not measured: {model}" for model in result.absent)]
