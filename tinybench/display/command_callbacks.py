"""Show the progress of commands that train nothing: measurements, and the steps of a promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from rich.status import Status

    from tinybench.efficiency.measurement import Measurement


class LatencyPrinter(RunCallbacks):
    """The progress of `measure`: one line per measurement on standard error."""

    def on_measurement(self, measurement: Measurement) -> None:
        """Print the latency."""
        spec, latency = measurement.spec, measurement.metrics["latency_p50_ms"]
        click.echo(f"{spec.model} on {spec.device}: {latency:.4g} ms", err=True)


class StatusCallbacks(RunCallbacks):
    """The progress of a promotion, shown as the text of a spinner.

    Args:
        status: The spinner.
    """

    def __init__(self, status: Status) -> None:
        self._status = status

    def on_message(self, text: str) -> None:
        """Replace the text."""
        self._status.update(text)
