"""Run or preview a benchmark."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tinybench.benchmark import grid_driver, grid_file
from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
from tinybench.benchmark.engine_options import EngineOptions, choose_engine
from tinybench.benchmark.grid import MOST_SEEDS, CellSpec, Grid, check_name, describe_cell, make_name
from tinybench.benchmark.grid_driver import BenchmarkResult, Extension
from tinybench.benchmark.grid_overview import CellCost, GridOverview
from tinybench.benchmark.grid_plan import GridPlan
from tinybench.benchmark.halving import Halving, list_probes
from tinybench.benchmark.settling import Settling
from tinybench.config.run_config import RunConfig, canonical_overrides, from_flat, replace
from tinybench.config.sections import TrackConfig
from tinybench.core import text_file
from tinybench.core.count_text import describe_count
from tinybench.core.errors import ConfigError, TinybenchError
from tinybench.hardware.child_process import ChildProcess
from tinybench.leaderboard.board import MARGIN
from tinybench.tracking.tracker import OFFLINE_VARIABLE

ESTIMATE_COMMAND = "benchmark-estimate"
"""The hidden command that estimates what cells take."""
_ESTIMATE_SECONDS = 60.0  # after which no further kind of cell is timed
_START_SECONDS = 60.0  # that its process has besides
Axes = Mapping[str, Sequence[Any]]
_OWN_TRACKING = ("track.uri", "track.run_name")  # of the benchmark's own run


def run_benchmark(
    file: Path | None = None,
    *,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    recipes: Sequence[str] = (),
    seeds: int | Sequence[int] | None = None,
    name: str | None = None,
    resume: str | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    dry_run: bool = False,
    halving: bool = False,
    settle: float | None = None,
    delta: float | None = None,
    callbacks: BenchmarkCallbacks | None = None,
    engine: str = "processes",
    address: str = "auto",
    cpu: float = 1.0,
    gpu: float = 0.0,
    memory: str | None = None,
    slurm: Sequence[str] = (),
) -> BenchmarkResult | GridOverview:
    """Run the cells of a benchmark that are not finished.

    Args:
        file: A TOML file of the grid; the other arguments replace what it says.
        models: Models, by name or as files.
        datasets: Data sets.
        recipes: Recipes; none as in `tinybench train` if empty.
        seeds: Seeds, or how many from 0; one if None.
        name: Name of the benchmark; that of its file, or of its models and data, if None.
        resume: Go on with the benchmark of this name as it is, without a specification.
        settings: Values by dotted key for all cells.
        workers: Cells at a time; one if neither this nor the file says more.
        retry_failed: Run failed cells again.
        dry_run: Return what there is to do, and do nothing.
        halving: Probe all backbones, transfer the better half of them, and fine-tune the better half of these.
        settle: Seconds for more seeds of models of which the board does not say yet which is better.
        delta: With `settle` the largest difference of accuracies that does not matter; .01 if None.
        callbacks: Receives the events.
        engine: What runs the cells: `processes` of this machine, `ray` or `slurm`.
        address: Ray: address of the cluster, `auto` or `ray://HOST:PORT`.
        cpu: Ray, SLURM: CPUs per cell.
        gpu: Ray, SLURM: GPUs per cell.
        memory: Ray, SLURM: memory per cell, such as `4GB`.
        slurm: SLURM: options of the jobs, `KEY=VALUE` each.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    engine_options = EngineOptions(engine, address, cpu, gpu, memory, tuple(slurm))
    overrides = canonical_overrides(settings or {})
    tracking = {key: value for key, value in overrides.items() if key.startswith("track.")}
    track: TrackConfig = replace(RunConfig(), tracking).track
    if track.offline:
        os.environ[OFFLINE_VARIABLE] = "1"  # for the cells
    observer = callbacks or BenchmarkCallbacks()
    for key in _OWN_TRACKING:
        overrides.pop(key, None)
    axes = {"models": models, "datasets": datasets, "recipes": recipes, "seeds": _list_seeds(seeds)}
    specs, halving_seeds = None, None
    if resume is not None:
        _refuse_specification(file, axes, name, overrides, halving=halving)
        name = check_name(resume, "--resume")
        workers = workers or GridPlan(name).workers
    else:
        grid, file_workers = _read_grid(file, axes, overrides) if file else (_make_grid(axes, name, overrides), None)
        name, workers = check_name(name or grid.name), workers or file_workers
        specs, halving_seeds = _list_cells(grid, halving=halving)

    def estimate(specs: Sequence[CellSpec]) -> list[CellCost | None]:
        return _estimate_elsewhere(specs, observer)

    open_engine = choose_engine(engine_options, name, observer.on_message)
    extensions = _list_extensions(name, halving_seeds, settle, delta, workers or 1)
    if dry_run:
        overview = grid_driver.preview(
            name, specs, track, workers=workers or 1, estimate=estimate, extensions=extensions, halving=halving_seeds
        )
        observer.on_overview(overview)
        return overview
    return grid_driver.run_cells(
        name,
        specs,
        track,
        observer,
        workers=workers or 1,
        retry_failed=retry_failed,
        estimate=estimate,
        open_engine=open_engine,
        extensions=extensions,
        halving=halving_seeds,
    )


def _list_cells(grid: Grid, *, halving: bool) -> tuple[list[CellSpec], tuple[int, ...]]:
    """Return the cells with which a grid begins, and of a halving the seeds of its later rungs."""
    cells = grid.build_cells()
    if halving or grid.halving:
        return list_probes(cells), grid.seeds
    return [CellSpec(config) for config in cells], ()


def _list_extensions(
    name: str, halving_seeds: Sequence[int] | None, settle: float | None, delta: float | None, workers: int
) -> list[Extension]:
    """Return what adds cells; whether the benchmark is a halving says its plan if None."""
    halving_seeds = GridPlan(name).halving if halving_seeds is None else halving_seeds
    extensions: list[Extension] = [Halving(name, halving_seeds)] if halving_seeds else []
    if settle is None and delta is not None:
        raise ConfigError("`--delta` is for --settle: give both, or leave it out.")
    return extensions + ([Settling(name, settle, workers, delta or MARGIN)] if settle else [])


def _estimate_elsewhere(specs: Sequence[CellSpec], callbacks: BenchmarkCallbacks) -> list[CellCost | None]:
    """Estimate what runs take, in a process of its own: what is timed must not stay in the memory of the driver."""
    kinds = describe_count(len(specs), "kinds of cells")
    callbacks.on_message(f"Timing a few steps of {kinds} on this machine …")
    tasks = [[spec.config.flat(), spec.is_probe] for spec in specs]
    process = ChildProcess([ESTIMATE_COMMAND], {}, json.dumps(tasks, default=list))
    try:
        process.wait(_ESTIMATE_SECONDS + _START_SECONDS)
        lines = process.read_output().splitlines()
    finally:
        process.kill()
        process.close()
    costs: list[CellCost | None] = [None] * len(specs)
    for index, value in enumerate(map(json.loads, filter(None, lines))):
        if isinstance(value, str):
            cell = describe_cell(specs[index].config, is_probe=specs[index].is_probe)
            callbacks.on_message(f"{cell} is expected to fail: {value}")
        elif value is not None:
            costs[index] = CellCost(*value)
    return costs


def print_estimates(line: str) -> None:
    """Estimate the cells that a line of JSON describes, and print a line of JSON for each.

    It has the fields of `CellCost`, or why the cell can only fail, or null if nothing is known.
    """
    from tinybench.commands.estimate import estimate_run

    loading = time.time() - psutil.Process().create_time()  # which each cell does, too
    end = time.monotonic() + _ESTIMATE_SECONDS
    for settings, is_probe in json.loads(line):
        cost: list[Any] | str | None = None
        if time.monotonic() < end:
            try:
                run = estimate_run(from_flat(settings))
            except TinybenchError as error:
                cost = str(error)
            except Exception:  # the cell itself says what is wrong with it
                cost = None
            else:
                phases = run.phases.values()
                seconds = sum(phase.features_seconds if is_probe else phase.seconds for phase in phases)
                of_phases = {name: phase.seconds for name, phase in run.phases.items()}
                cost = [loading + seconds, run.disk, loading, of_phases]
        print(json.dumps(cost), flush=True)


def _list_seeds(seeds: int | Sequence[int] | None) -> tuple[int, ...]:
    if isinstance(seeds, int) and seeds > MOST_SEEDS:
        raise ConfigError(f"Invalid value for `seeds`: expected at most {MOST_SEEDS:,} seeds, got {seeds:,}.")
    return tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds or ()))


def _refuse_specification(
    file: Path | None, axes: Axes, name: str | None, settings: Mapping[str, Any], *, halving: bool
) -> None:
    """Raise if a benchmark is resumed as it is and a specification is given as well."""
    of_cells = [key for key in settings if not key.startswith("track.")]
    if halving or file is not None or name is not None or of_cells or any(axes.values()):
        raise ConfigError(
            "With --resume a benchmark goes on as it is: leave the file, the grid and its settings out, or give them "
            "without --resume, by which finished cells are not run again either."
        )


def _read_grid(file: Path, axes: Axes, settings: Mapping[str, Any]) -> tuple[Grid, int | None]:
    try:
        text = text_file.read(file)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"Cannot read the benchmark {file}: {text_file.describe_error(error)}") from error
    return grid_file.read(text, file.stem, settings, str(file), axes=axes)


def _make_grid(axes: Axes, name: str | None, settings: Mapping[str, Any]) -> Grid:
    models, datasets, recipes, seeds = (tuple(dict.fromkeys(values)) for values in axes.values())
    if not models or not datasets:
        raise ConfigError(
            "Give --models and --dataset, a FILE that has them, or --resume with the name of a benchmark."
        )
    return Grid(name or make_name(models, datasets), models, datasets, recipes or (None,), seeds or (0,), settings)
