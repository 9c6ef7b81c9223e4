"""Print the plan of a run that is not carried out: its settings, and an estimate of what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import filesize

from tinybench.display.durations import format_duration
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_note, print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.commands.estimate import RunEstimate
    from tinybench.config.run_config import RunConfig


def print_settings_table(config: RunConfig, terminal: Terminal) -> None:
    """Print every setting of the run, without passwords."""
    print_table(terminal, ("setting", Column("value", wraps=True)), config.flat_text().items(), "Settings")


def print_plan_table(estimate: RunEstimate, terminal: Terminal) -> None:
    """Print how long each phase takes at most, and how much memory and disk the run needs."""
    titles = ("max epochs", "steps per epoch", "trained parameters", "feature bank", "max time")
    rows = []
    for name, phase in estimate.phases.items():
        bank = filesize.decimal(phase.features) if phase.features else "none"
        counts = (str(phase.epochs), f"{phase.steps:,}", f"{phase.trainable:,}")
        rows.append((name, *counts, bank, format_duration(phase.seconds)))
    print_table(terminal, ("phase", *number_columns(*titles)), rows, "Plan")
    train, validation, test = estimate.images
    source = "counted" if estimate.counted else "official counts; the data have not been downloaded yet"
    total = sum(phase.seconds for phase in estimate.phases.values())
    print_text(terminal, f"Images: {train:,} train, {validation:,} validation, {test:,} test ({source}).")
    print_text(terminal, f"Parameters: {estimate.parameters:,}.")
    print_text(
        terminal,
        f"Estimated from a few steps on this machine: {format_duration(total)} at most, "
        f"{estimate.memory / 2**30:.1f} GiB of memory, {estimate.disk / 2**30:.2f} GiB of disk.",
    )
    for warning in estimate.warnings:
        print_note(terminal, warning)
