"""Run or preview a benchmark."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tinybench.benchmark import grid_driver
from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
from tinybench.benchmark.grid import Grid, check_name, make_name
from tinybench.benchmark.grid_driver import BenchmarkResult
from tinybench.benchmark.grid_overview import GridOverview
from tinybench.config.run_config import RunConfig, canonical_overrides, replace
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError
from tinybench.tracking.tracker import OFFLINE_VARIABLE

_OWN_TRACKING = ("track.uri", "track.run_name")  # of the benchmark's own run


def run_benchmark(
    *,
    models: Sequence[str] = (),
    datasets: Sequence[str] = (),
    recipes: Sequence[str] = (),
    seeds: int | Sequence[int] = 1,
    name: str | None = None,
    resume: str | None = None,
    settings: Mapping[str, Any] | None = None,
    workers: int = 1,
    retry_failed: bool = False,
    dry_run: bool = False,
    callbacks: BenchmarkCallbacks | None = None,
) -> BenchmarkResult | GridOverview:
    """Run the cells of a benchmark that are not finished.

    Args:
        models: Models, by name or as files.
        datasets: Data sets.
        recipes: Recipes; none as in `tinybench train` if empty.
        seeds: Seeds, or how many from 0.
        name: Name of the benchmark; that of its models and data if None.
        resume: Go on with the benchmark of this name as it is, without a specification.
        settings: Values by dotted key for all cells.
        workers: Cells at a time.
        retry_failed: Run failed cells again.
        dry_run: Return what there is to do, and do nothing.
        callbacks: Receives the events.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    overrides = canonical_overrides(settings or {})
    tracking = {key: value for key, value in overrides.items() if key.startswith("track.")}
    track: TrackConfig = replace(RunConfig(), tracking).track
    if track.offline:
        os.environ[OFFLINE_VARIABLE] = "1"  # for the cells
    observer = callbacks or BenchmarkCallbacks()
    cells = None
    if resume is None:
        for key in _OWN_TRACKING:
            overrides.pop(key, None)
        grid = _make_grid(models, datasets, recipes, seeds, name, overrides)
        cells, name = grid.build_cells(), grid.name
    else:
        name = check_name(resume)
    if dry_run:
        assert cells is not None
        overview = grid_driver.preview(name, cells, track, workers=workers)
        observer.on_overview(overview)
        return overview
    return grid_driver.run_cells(name, cells, track, observer, workers=workers, retry_failed=retry_failed)


def _make_grid(
    models: Sequence[str],
    datasets: Sequence[str],
    recipes: Sequence[str],
    seeds: int | Sequence[int],
    name: str | None,
    settings: Mapping[str, Any],
) -> Grid:
    if not models or not datasets:
        raise ConfigError("Give --models and --dataset, a FILE that has them, or --resume with the name of a benchmark.")
    return Grid(
        check_name(name) if name else make_name(tuple(models), tuple(datasets)),
        tuple(dict.fromkeys(models)),
        tuple(dict.fromkeys(datasets)),
        tuple(dict.fromkeys(recipes)) or (None,),
        tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds)),
        settings,
    )
