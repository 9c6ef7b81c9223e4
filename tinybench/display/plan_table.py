"""Print the plan of a run that is not carried out: its settings, and an estimate of what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import filesize
from rich.markup import escape
from rich.table import Table

from tinybench.display.durations import format_duration
from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.commands.estimate import RunEstimate
    from tinybench.config.run_config import RunConfig


def print_settings_table(config: RunConfig, terminal: Terminal) -> None:
    """Print every setting of the run, without passwords."""
    table = Table(title="Settings")
    for title in ("setting", "value"):
        table.add_column(title, overflow="fold")
    for key, value in config.flat_text().items():
        table.add_row(key, escape(value))
    terminal.print(table)


def print_plan_table(estimate: RunEstimate, terminal: Terminal) -> None:
    """Print how long each phase takes at most, and how much memory and disk the run needs."""
    titles = ("phase", "max epochs", "steps per epoch", "trained parameters", "feature bank", "max time")
    table = Table(*titles, title="Plan")
    for name, phase in estimate.phases.items():
        bank = filesize.decimal(phase.features) if phase.features else "none"
        counts = (str(phase.epochs), f"{phase.steps:,}", f"{phase.trainable:,}")
        table.add_row(name, *counts, bank, format_duration(phase.seconds))
    terminal.print(table)
    train, validation, test = estimate.images
    source = "counted" if estimate.counted else "official counts; the data have not been downloaded yet"
    total = sum(phase.seconds for phase in estimate.phases.values())
    print_line(terminal, f"Images: {train:,} train, {validation:,} validation, {test:,} test ({source}).")
    print_line(terminal, f"Parameters: {estimate.parameters:,}.")
    print_line(
        terminal,
        f"Estimated from a few steps on this machine: {format_duration(total)} at most, "
        f"{estimate.memory / 2**30:.1f} GiB of memory, {estimate.disk / 2**30:.2f} GiB of disk.",
    )
