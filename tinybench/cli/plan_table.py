"""The plan that `--dry-run` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import filesize
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.efficiency.estimate import Estimate


def print_settings_table(config: RunConfig, terminal: Console) -> None:
    """Print every setting of the run."""
    settings = Table(title="Configuration")
    for head in ("setting", "value"):
        settings.add_column(head, overflow="fold")
    for key, value in config.words().items():
        settings.add_row(key, escape(value))
    terminal.print(settings)


def print_plan_table(estimate: Estimate, terminal: Console) -> None:
    """Print what the run will take."""
    heads = ("phase", "epochs at most", "steps an epoch", "trained parameters", "kept features", "time at most")
    plan = Table(*heads, title="Plan")
    for name, phase in estimate.phases.items():
        kept = filesize.decimal(phase.features) if phase.features else "none"
        counts = (str(phase.epochs), f"{phase.steps:,}", f"{phase.trainable:,}")
        plan.add_row(name, *counts, kept, _format_duration(phase.seconds))
    terminal.print(plan)
    train, validation, test = estimate.images
    source = "counted" if estimate.counted else "official figures; the data are not here yet"
    total = sum(phase.seconds for phase in estimate.phases.values())
    for line in (
        f"Images: {train:,} train, {validation:,} validation, {test:,} test ({source}).",
        f"Parameters: {estimate.parameters:,}.",
        f"Estimates from a few steps on this machine: {_format_duration(total)} at most, "
        f"{estimate.memory / 2**30:.1f} GiB of memory, {estimate.disk / 2**30:.2f} GiB of disk.",
    ):
        terminal.print(line, highlight=False, soft_wrap=True)


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
