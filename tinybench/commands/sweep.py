"""Run or resume a sweep, with workers on this machine or on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinybench.config.run_config import RunConfig, canonical_overrides, replace
from tinybench.core import text_file
from tinybench.core.errors import ConfigError
from tinybench.sweeps import driver, space_file
from tinybench.sweeps.sweep_callbacks import SweepCallbacks
from tinybench.tracking.tracker import OFFLINE_VARIABLE

if TYPE_CHECKING:
    from tinybench.sweeps.driver import CreateWorkers, WorkerPool
    from tinybench.sweeps.space import Space
    from tinybench.sweeps.sweep_result import SweepResult

DEFAULT_STORAGE = "sqlite:///optuna.db"
_TRACK_KEYS = (
    "track.uri",
    "track.experiment",
    "track.run_name",
    "track.tags",
    "track.offline",
)  # of the study's own run


def run_sweep(
    space: Path | None = None,
    *,
    resume: str | None = None,
    name: str | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    seeds: int | None = None,
    retry_failed: bool = False,
    workers: int = 1,
    engine: str = "processes",
    address: str = "auto",
    cpu: float = 1.0,
    gpu: float = 0.0,
    memory: str | None = None,
    storage: str = DEFAULT_STORAGE,
    settings: Mapping[str, Any] | None = None,
    callbacks: SweepCallbacks | None = None,
) -> SweepResult:
    """Search the settings in a space file for the best, or resume a study.

    Args:
        space: The TOML file of the space; None with `resume`.
        resume: Name of the study to resume.
        name: Name of the new study; the name of the space with the time if None.
        trials: Number of trials; that of the space, or of the study, if None.
        minutes: Minutes during which trials are started; those of the space, or what is left of them, if None.
        seeds: Seeds per trial, over which metrics are averaged; those of the space if None.
        retry_failed: With `resume`, run failed trials again.
        workers: Trials at a time.
        engine: `processes` of this machine, or `ray`.
        address: Ray: address of the cluster, `auto` or `ray://HOST:PORT`.
        cpu: Ray: CPUs per trial.
        gpu: Ray: GPUs per trial.
        memory: Ray: memory per trial, such as `4GB`.
        storage: Address of the database of studies.
        settings: Values by dotted key that are fixed in all trials.
        callbacks: Receives the events.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    overrides = canonical_overrides(settings or {})
    track = replace(RunConfig(), {key: overrides.pop(key) for key in _TRACK_KEYS if key in overrides}).track
    if (space is None) == (resume is None):
        raise ConfigError("Give either a SPACE file, or --resume with the name of a study.")
    if retry_failed and resume is None:
        raise ConfigError("--retry-failed goes with --resume STUDY.")
    if resume is not None and (overrides or seeds is not None):
        raise ConfigError("A study is resumed with its own settings: with --resume give only --trials and --minutes.")
    if track.offline:
        os.environ[OFFLINE_VARIABLE] = "1"  # for the workers
    resources = {"cpu": cpu, "gpu": gpu, "memory": memory}
    create_workers = _choose_workers(engine, workers, storage, address, resources)
    observer = callbacks or SweepCallbacks()
    if resume is not None:
        return driver.resume(
            resume,
            trials=trials,
            minutes=minutes,
            retry_failed=retry_failed,
            storage=storage,
            track=track,
            create_workers=create_workers,
            callbacks=observer,
        )
    assert space is not None
    budget = {"trials": trials, "minutes": minutes, "seeds": seeds}
    overrides |= {key: value for key, value in budget.items() if value is not None}
    search_space = space_file.read(_read_text(space), space.stem, overrides, file_name=str(space))
    return driver.start(
        search_space,
        overrides,
        name=name,
        storage=storage,
        track=track,
        create_workers=create_workers,
        callbacks=observer,
    )


def _choose_workers(engine: str, count: int, storage: str, address: str, resources: dict[str, Any]) -> CreateWorkers:
    """Return the function that creates the workers of a study."""

    def create_processes(study: str, space: Space, uri: str) -> WorkerPool:
        from tinybench.sweeps.local_workers import LocalWorkers

        return LocalWorkers(study, space, storage, uri, count)

    def create_ray_tasks(study: str, space: Space, uri: str) -> WorkerPool:
        from tinybench.sweeps.ray_cluster import RayWorkers

        return RayWorkers(study, space, storage, uri, count, address=address, **resources)

    return create_ray_tasks if engine == "ray" else create_processes


def _read_text(file: Path) -> str:
    try:
        return text_file.read(file)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"Cannot read the space {file}: {text_file.describe_error(error)}") from error
