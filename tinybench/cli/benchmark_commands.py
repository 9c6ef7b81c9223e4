"""The commands of benchmarks: `benchmark` runs a grid, and starts `benchmark-cell` for each of its cells."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import click

from tinybench.cli.cluster_options import cluster_options
from tinybench.cli.option_values import (
    none_if_unset,
    parse_count,
    parse_duration,
    parse_list,
    parse_positive,
    parse_seeds,
)
from tinybench.cli.options import SettingsCommand, offline_option
from tinybench.config.run_config import UNSET_VALUES
from tinybench.core import quiet_libraries


class BenchmarkCommand(SettingsCommand):
    """A command with the settings of a run, except those that the grid spans, and `engine`.

    The option of that name says what runs the cells; the setting is given in the table [settings] of the file.
    """

    settings_left_out = ("model", "dataset", "recipe", "seed", "engine")


@click.command(cls=BenchmarkCommand)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--models", "--model", help="Models, by name or as .keras files, separated by commas.")
@click.option("--datasets", "--dataset", help="Data sets, separated by commas.")
@click.option("--recipes", "--recipe", help="Recipes, separated by commas.  [default: as in tinybench train]")
@click.option("--seeds", help="Seeds, as 0,1,7, or how many from 0.  [default: 1]")
@click.option("--name", help="Name of the benchmark.  [default: that of its models and data sets]")
@click.option("--resume", metavar="NAME", help="Go on with a benchmark as it is; the same command does so, too.")
@click.option("--retry-failed", is_flag=True, help="Run failed cells again.")
@click.option("--workers", help="Cells at a time; they share the CPU threads.  [default: that of the file, or 1]")
@click.option(
    "--halving", is_flag=True, help="Probe all backbones, transfer the better half, fine-tune the better half of these."
)
@click.option("--settle", metavar="TIME", help="Spend a time such as 2h on more seeds where they would settle a pair.")
@click.option("--delta", help="With --settle: a difference of accuracies that does not matter.  [default: 0.01]")
@click.option("--dry-run", is_flag=True, help="Print cells, time and disk; train nothing.")
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray", "slurm"]),
    default="processes",
    show_default=True,
    help="What runs the cells: processes of this machine, a Ray cluster (extra: ray), or jobs of SLURM (extra: slurm).",
)
@cluster_options("cell", "Ray, SLURM")
@click.option(
    "--slurm",
    metavar="KEY=VALUE",
    multiple=True,
    help="SLURM: an option of the jobs, such as partition=gpu or time=04:00:00; may be repeated. "
    "cluster=local runs them on this machine.",
)
@offline_option
def benchmark(
    file: Path | None,
    models: str | None,
    datasets: str | None,
    recipes: str | None,
    seeds: str | None,
    name: str | None,
    resume: str | None,
    retry_failed: bool,
    workers: str | None,
    halving: bool,
    settle: str | None,
    delta: str | None,
    dry_run: bool,
    settings: dict[str, Any],
    **engine: Any,
) -> None:
    """Train a grid of models, data sets, recipes and seeds, each cell a run.

    A TOML FILE may have the grid; options replace what it says.

    Cells that are finished are never run again: after an interruption, give the same command once more.

    Example: tinybench benchmark --models resnet50,vgg16 --dataset cifar10 --seeds 3
    """
    from rich.console import Console as Terminal

    options: dict[str, Any] = {
        "models": parse_list(models),
        "datasets": parse_list(datasets),
        "recipes": parse_list(recipes),
        "seeds": parse_seeds("--seeds", seeds),
        "workers": parse_count("--workers", workers),
        "name": none_if_unset(name),
        "resume": none_if_unset(resume),
        "retry_failed": retry_failed,
        "halving": halving,
        "settle": parse_duration("--settle", settle),
        "delta": parse_positive("--delta", delta),
        "dry_run": dry_run,
    }
    with quiet_libraries.filter_startup_noise():
        from tinybench.commands.benchmark import run_benchmark
        from tinybench.display.benchmark_progress import BenchmarkConsole, print_end

    with closing(BenchmarkConsole(Terminal())) as console:
        file = None if str(file) in UNSET_VALUES else file
        result = run_benchmark(file, settings=settings, callbacks=console, **options, **engine)
    if not dry_run:
        print_end(result.name, Terminal())


@click.command("benchmark-cell", hidden=True)
def benchmark_cell() -> None:
    """Run the cell of a benchmark that standard input describes; `tinybench benchmark` starts this command."""
    from tinybench.benchmark import cell_task
    from tinybench.cli.startup import load_libraries
    from tinybench.hardware import onednn

    task = cell_task.CellTask.from_line(sys.stdin.buffer.readline().decode())
    _end_with_parent()
    onednn.allow_onednn(task.config.deterministic)
    load_libraries()
    cell_task.run_task(task)


@click.command("benchmark-estimate", hidden=True)
def benchmark_estimate() -> None:
    """Estimate what the cells take that standard input describes; `tinybench benchmark` starts this command."""
    from tinybench.cli.startup import load_libraries

    line = sys.stdin.buffer.readline().decode()
    _end_with_parent()
    load_libraries()
    from tinybench.commands.benchmark import print_estimates

    print_estimates(line)


def _end_with_parent() -> None:
    """Have this process interrupted when the one ends that started it, so that its run ends as KILLED."""
    from tinybench.hardware import child_process

    interrupt = signal.getsignal(signal.SIGTERM)

    def interrupt_once(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt what ends the run
        assert callable(interrupt)
        interrupt(number, frame)

    signal.signal(signal.SIGTERM, interrupt_once)
    child_process.watch_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
