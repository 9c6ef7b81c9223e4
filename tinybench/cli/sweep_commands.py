"""The commands of sweeps: `sweep` runs a study, `sweep-worker` helps with one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinybench.cli.option_values import none_if_unset, parse_count, parse_positive
from tinybench.cli.options import SettingsCommand, uri_option
from tinybench.config.run_config import UNSET_VALUES, RunConfig, canonical_overrides, replace
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError

if TYPE_CHECKING:
    from tinybench.sweeps.driver import CreateWorkers, WorkerPool
    from tinybench.sweeps.space import Space

_DEFAULT_STORAGE = "sqlite:///optuna.db"
_STORAGE_VARIABLE = "TINYBENCH_STORAGE"
_TRACK_KEYS = ("track.uri", "track.experiment", "track.run_name", "track.tags")  # of the study's own run


class SweepCommand(SettingsCommand):
    """A command with the settings of a run, except `engine`: that option says what runs the workers.

    The setting of that name is given in the table [settings] of the space.
    """

    settings_left_out = ("engine",)


_storage_option = click.option(
    "--storage",
    envvar=_STORAGE_VARIABLE,
    callback=lambda _context, _option, value: (
        os.environ.get(_STORAGE_VARIABLE, _DEFAULT_STORAGE) if value in UNSET_VALUES else value
    ),
    default=_DEFAULT_STORAGE,
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
@click.option(
    "--address", default="auto", show_default=True, help="Ray: address of the cluster, auto or ray://HOST:PORT."
)
@click.option(
    "--cpu", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Ray: CPUs per trial."
)
@click.option("--gpu", type=click.FloatRange(0), default=0.0, show_default=True, help="Ray: GPUs per trial.")
@click.option("--memory", help="Ray: memory per trial, such as 4GB.")
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
    if (space is None) == (resume is None):
        raise ConfigError("Give either a SPACE file, or --resume with the name of a study.")
    if retry_failed and resume is None:
        raise ConfigError("--retry-failed goes with --resume STUDY.")
    budget: dict[str, Any] = {
        "trials": parse_count("--trials", trials),
        "minutes": parse_positive("--minutes", minutes),
    }
    seed_count = parse_count("--seeds", seeds)
    overrides = canonical_overrides(settings)
    track = replace(RunConfig(), {key: overrides.pop(key) for key in _TRACK_KEYS if key in overrides}).track
    if resume is not None and (overrides or seed_count is not None):
        raise ConfigError("A study is resumed with its own settings: with --resume give only --trials and --minutes.")
    create_workers = _choose_workers(parse_count("--workers", workers) or 1, storage, cluster)
    with quiet_libraries.filter_startup_noise():
        from tinybench.cli.sweep_progress import SweepConsole
        from tinybench.sweeps import driver, space_file
        from tinybench.tracking import journal

        journal.limit_retries()
    console = SweepConsole(Terminal())
    options: dict[str, Any] = {
        "storage": storage,
        "track": track,
        "create_workers": create_workers,
        "callbacks": console,
    }
    try:
        if resume is not None:
            result = driver.resume(resume, **budget, retry_failed=retry_failed, **options)
        else:
            assert space is not None
            overrides |= {name: value for name, value in (budget | {"seeds": seed_count}).items() if value is not None}
            search_space = space_file.read(_read_text(space), space.stem, overrides, file_name=str(space))
            result = driver.start(search_space, overrides, name=study, **options)
        console.print_result(result)
    finally:
        console.close()


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


def _choose_workers(count: int, storage: str, cluster: dict[str, Any]) -> CreateWorkers:
    """Return the function that creates `count` workers of a study."""

    def create_processes(study: str, space: Space, uri: str) -> WorkerPool:
        from tinybench.sweeps.local_workers import LocalWorkers

        return LocalWorkers(study, space, storage, uri, count)

    def create_ray_tasks(study: str, space: Space, uri: str) -> WorkerPool:
        from tinybench.sweeps.ray_cluster import RayWorkers

        resources = {name: cluster[name] for name in ("cpu", "gpu", "memory")}
        return RayWorkers(study, space, storage, uri, count, address=cluster["address"], **resources)

    return create_ray_tasks if cluster["engine"] == "ray" else create_processes


def _read_text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot read the space {file}: {error.strerror or error}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"Cannot read the space {file}: it is not UTF-8 text.") from error
