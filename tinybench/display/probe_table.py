"""Print the results of a probe, and its progress."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core.metric_text import format_interval, format_metric
from tinybench.display.console import Console, PipeSafeTerminal
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_note, print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.job.backbone_probe import ProbeResult

_LATENCY = ("efficiency/gpu_latency_p50_ms", "efficiency/cpu_latency_p50_ms")
_COLUMNS = ("top-1", "interval", "val top-1", "penalty", "images/s", "M params", "MB", "p50 ms", "s")


class ProbeConsole(Console):
    """The progress of a probe: its messages, a bar while features are computed, and the table of the sample."""

    def on_probe_sample(self, accuracies: dict[str, float], train: int, validation: int) -> None:
        """Print the accuracies on the sample, the highest first."""
        ordered = sorted(accuracies.items(), key=lambda item: -item[1])
        rows = [(Path(model).stem, format_metric(accuracy)) for model, accuracy in ordered]
        title = f"A first guess, from {train} training and {validation} validation images"
        print_table(self.terminal, (Column("model", head=True), *number_columns("val top-1")), rows, title)


def create_progress() -> ProbeConsole:
    """Return a display of progress on standard error, so that standard output has the table alone."""
    return ProbeConsole(PipeSafeTerminal(stderr=True))


def print_results(results: Sequence[ProbeResult], terminal: Terminal) -> None:
    """Print the results as a table, the most accurate on the validation images first."""
    rows = [(result.model, *_cells(result.metrics), result.engine) for result in results if not result.error]
    columns = (Column("model", head=True), *number_columns(*_COLUMNS), Column("engine"))
    print_table(terminal, columns, rows, "Test images")
    print_text(
        terminal,
        "Sorted by the validation images, which also selected the penalty. Interval: 95 %, over the test images. s: "
        "features, head and scores. images/s compares backbones of the same engine, and is empty where all features "
        "were stored.",
    )
    for result in results:
        if result.error:
            print_note(terminal, f"Not probed: {result.model}: {result.error}")


def results_json(results: Sequence[ProbeResult]) -> str:
    """Return the results as a JSON array; null for a metric that is not defined."""
    values = [asdict(result) for result in results]
    for value in values:
        value["metrics"] = {
            name: number if math.isfinite(number) else None for name, number in value["metrics"].items()
        }
    return json.dumps(values, indent=1, allow_nan=False)


def _cells(metrics: dict[str, float]) -> list[str]:
    latency = next((metrics[name] for name in _LATENCY if name in metrics), None)
    return [
        format_metric(metrics["test/accuracy"]),
        format_interval(metrics.get("test/accuracy_low"), metrics.get("test/accuracy_high")),
        format_metric(metrics["val/accuracy"]),
        f"{metrics['best/penalty']:.2g}",
        format_metric(metrics.get("efficiency/features_images_per_second"), ",.0f"),
        f"{metrics['efficiency/parameters'] / 1e6:.3g}",
        f"{metrics['efficiency/weight_bytes'] / 1e6:.3g}",
        format_metric(latency, ".3g"),
        f"{metrics['efficiency/probe_seconds']:.1f}",
    ]
