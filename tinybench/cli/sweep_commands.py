"""The commands of sweeps: `sweep` runs a study, `sweep-worker` helps with one."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from tinybench.cli.cluster_options import cluster_options
from tinybench.cli.option_values import none_if_unset, parse_count, parse_positive
from tinybench.cli.options import (
    DEFAULT_STORAGE,
    STORAGE_VARIABLE,
    SettingsCommand,
    default_storage,
    offline_option,
    uri_option,
)
from tinybench.config.run_config import UNSET_VALUES
from tinybench.core import quiet_libraries


class SweepCommand(SettingsCommand):
    """A command with the settings of a run, except `engine`: that option says what runs the workers.

    The setting of that name is given in the table [settings] of the space.
    """

    settings_left_out = ("engine",)


_storage_option = click.option(
    "--storage",
    envvar=STORAGE_VARIABLE,
    callback=lambda _context, _option, value: default_storage() if value in UNSET_VALUES else value,
    default=DEFAULT_STORAGE,
    show_default=True,
    help="Database of the studies; for several machines postgresql://… (extra: postgres).",
)


@click.command(cls=SweepCommand)
@click.argument("space", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--trials", help="Number of trials.  [default: that of the space]")
@click.option("--minutes", help="Minutes during which trials are started.  [default: those of the space]")
@click.option("--seeds", help="Seeds per trial, over which metrics are averaged.  [default: that of the space, or 1]")
@click.option("--workers", default="1", show_default=True, help="Trials at a time; they share the CPU threads.")
@click.option("--study", help="Name of the new study.  [default: the name of the space, and the time]")
@click.option("--resume", metavar="STUDY", help="Resume a study; --trials or --minutes may extend it.")
@click.option("--retry-failed", is_flag=True, help="With --resume: run failed trials again.")
@_storage_option
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="What runs the workers: processes of this machine, or a Ray cluster (extra: ray).",
)
@cluster_options("trial")
@offline_option
def sweep(
    space: Path | None,
    trials: str | None,
    minutes: str | None,
    seeds: str | None,
    workers: str,
    study: str | None,
    resume: str | None,
    retry_failed: bool,
    storage: str,
    settings: dict[str, str],
    **cluster: Any,
) -> None:
    """Search the settings in a SPACE file for the best.

    A sweep is an Optuna study whose trials are MLflow runs.

    Examples: tinybench sweep sweeps/transfer.toml --trials 30;
    tinybench sweep sweeps/finetune.toml --model resnet50 --head.l2 1e-4
    """
    from rich.console import Console as Terminal

    study, resume = none_if_unset(study), none_if_unset(resume)
    space = None if str(space) in UNSET_VALUES else space
    options: dict[str, Any] = {
        "trials": parse_count("--trials", trials),
        "minutes": parse_positive("--minutes", minutes),
        "seeds": parse_count("--seeds", seeds),
        "workers": parse_count("--workers", workers) or 1,
    }
    with quiet_libraries.filter_startup_noise():
        from tinybench.commands.sweep import run_sweep
        from tinybench.display.sweep_progress import SweepConsole

    with closing(SweepConsole(Terminal())) as console:
        result = run_sweep(
            space,
            resume=resume,
            name=study,
            retry_failed=retry_failed,
            storage=storage,
            settings=settings,
            callbacks=console,
            **options,
            **cluster,
        )
        console.print_result(result)


@click.command("sweep-worker")
@click.argument("study")
@_storage_option
@uri_option
def sweep_worker(study: str, storage: str, uri: str | None) -> None:
    """Run trials of STUDY until none is left.

    A sweep, on this or another machine, must have begun the study.
    """
    with quiet_libraries.filter_startup_noise():
        from tinybench.hardware import allocator, device
        from tinybench.sweeps import join_study
        from tinybench.sweeps.samplers import WORKER_VARIABLE

        allocator.keep_freed_memory()
        device.detect_devices()
    count = join_study.join(study, storage, uri, additional=WORKER_VARIABLE not in os.environ)
    click.echo(f"This worker ran {count} trials of study {study}.")
