"""The plan that `--dry-run` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from tinybench.config import RunConfig
    from tinybench.efficiency.estimate import Estimate


def show(config: RunConfig, estimate: Estimate, terminal: Console | None = None) -> None:
    """Print the resolved configuration and what the run will take."""
    terminal = terminal or Console()
    settings = Table("setting", "value", title="Configuration")
    for key, value in config.flat().items():
        settings.add_row(key, "none" if value is None else str(value))
    terminal.print(settings)
    plan = Table("phase", "epochs at most", "steps an epoch", "trained parameters", "time at most", title="Plan")
    for name, phase in estimate.phases.items():
        plan.add_row(name, str(phase.epochs), f"{phase.steps:,}", f"{phase.trainable:,}", _duration(phase.seconds))
    terminal.print(plan)
    train, validation, test = estimate.images
    source = "counted" if estimate.counted else "official figures; the data are not here yet"
    terminal.print(f"Images: {train:,} train, {validation:,} validation, {test:,} test ({source}).", highlight=False)
    terminal.print(f"Parameters: {estimate.parameters:,}.", highlight=False)
    total = sum(phase.seconds for phase in estimate.phases.values())
    terminal.print(
        f"Estimates from a few steps on this machine: {_duration(total)} at most, "
        f"{estimate.memory / 2**30:.1f} GiB of memory, {estimate.disk / 2**30:.2f} GiB of disk.",
        highlight=False,
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
