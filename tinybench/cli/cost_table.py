"""What models cost, as a table: the fastest first, and what cannot be told apart by the same rank."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console as Terminal
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from tinybench.job.run_costs import Cost, Session

_SPEED = ("p50 ms", "p90", "p99", "most images/s", "at batch", "first call ms")
_WEIGHT = ("px", "JPEG to label ms", "predict() ms", "peak MB at 1", "M params", "GFLOPs")


def print_cost_tables(session: Session, terminal: Terminal) -> None:
    """Print two tables, the noise floor and of what machine they speak."""
    ranked = sorted(session.costs, key=lambda cost: (cost.spec.device, cost.figures["latency_p50_ms"]))
    noise = session.noise.get("latency_p50_ms")
    found = ["" for _ in ranked] if noise is None else [str(rank) for rank in rank_by_latency(ranked, noise)]
    names = _names(ranked)
    terminal.print(_table(["", "model", *_SPEED], zip(found, names, map(_speed, ranked), strict=True)))
    terminal.print(_table(["", "model", *_WEIGHT], zip(found, names, map(_weight, ranked), strict=True)))
    for line in (_noise(session), _certificate(ranked[0]), *_notes(session)):
        terminal.print(line, highlight=False, soft_wrap=True, markup=False)


def _table(heads: Sequence[str], rows: Iterable[tuple[str, str, tuple[str, ...]]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, justify="left" if head == "model" else "right", overflow="fold")
    for rank, name, cells in rows:
        table.add_row(rank, *map(escape, (name, *cells)))
    return table


def _names(ranked: Sequence[Cost]) -> list[str]:
    """Models, with the device where there are several."""
    several = len({cost.spec.device for cost in ranked}) > 1
    return [f"{Path(cost.spec.model).stem}{f' on {cost.spec.device}' if several else ''}" for cost in ranked]


def costs_json(session: Session) -> str:
    """One object for machines."""
    costs = [
        {
            "spec": vars(cost.spec),
            "figures": cost.figures,
            "machine": cost.measurements[0].machine,
            "notes": [*dict.fromkeys(note for each in cost.measurements for note in each.notes)],
            "rounds": [{"figures": each.figures, "rungs": each.rungs} for each in cost.measurements],
        }
        for cost in session.costs
    ]
    return json.dumps({"costs": costs, "noise": session.noise, "absent": session.absent}, indent=1)


def rank_by_latency(ranked: Sequence[Cost], noise: float) -> list[int]:
    """A rank each, by device: what is slower than the first of its rank by less than the noise is of that rank."""
    found: list[int] = []
    first: Cost | None = None
    for place, cost in enumerate(ranked):
        if first is None or cost.spec.device != first.spec.device:
            first, rank, before = cost, 1, place
        elif cost.figures["latency_p50_ms"] > first.figures["latency_p50_ms"] * (1 + noise):
            first, rank = cost, place - before + 1
        found.append(rank)
    return found


def _speed(cost: Cost) -> tuple[str, ...]:
    figures = cost.figures
    return (
        *(f"{figures[f'latency_p{share}_ms']:.4g}" for share in (50, 90, 99)),
        f"{figures['throughput_images_per_second']:,.4g}" if "throughput_batch" in figures else "",
        f"{figures['throughput_batch']:.0f}" if "throughput_batch" in figures else "",
        f"{figures['first_call_ms']:,.0f}",
    )


def _weight(cost: Cost) -> tuple[str, ...]:
    figures = cost.figures
    flops = figures.get("flops")
    return (
        str(cost.spec.image_size),
        f"{figures['jpeg_to_label_p50_ms']:.4g}",
        f"{figures['latency_predict_ms']:.4g}",
        f"{figures.get('nvml_peak_bytes', figures['memory_peak_bytes']) / 1e6:,.0f}",
        f"{figures['parameters'] / 1e6:.4g}",
        "" if flops is None else f"{flops / 1e9:.3g}",
    )


def _noise(session: Session) -> str:
    share = session.noise.get("latency_p50_ms")
    if share is None:
        return "Measured once: how far the same model would lie off is not known, so there are no ranks (--rounds 2)."
    rounds = min(len(cost.measurements) for cost in session.costs)
    words = f"Noise floor: the p50 of the same model in {rounds} processes differed by up to {share:.1%}"
    return f"{words}; what differs by less has the same rank." if len(session.costs) > 1 else f"{words}."


def _certificate(cost: Cost) -> str:
    machine = cost.measurements[0].certificate["machine"]
    load = cost.measurements[0].certificate["before"]["load_average"][0]
    spec = cost.spec
    return (
        f"{machine['cpu']}, {spec.threads} threads, load {load:.2f} before; batch 1 for latency; {spec.engine}, "
        f"{spec.precision}. Figures of other machines cannot be put beside these."
    )


def _notes(session: Session) -> list[str]:
    notes = [
        f"Note: {cost.spec.model}: {note}"
        for cost in session.costs
        for each in cost.measurements
        for note in each.notes
    ]
    return [*dict.fromkeys(notes), *(f"Not measured: {each}" for each in session.absent)]
