"""The commands about sweeps: `sweep` drives a study, `sweep-worker` joins one."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinybench.cli.options import SettingsCommand
from tinybench.config.run_config import UNTOUCHED, canonical
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError

if TYPE_CHECKING:
    from tinybench.config.sections import TrackConfig
    from tinybench.sweeps.driver import Engine, Workers
    from tinybench.sweeps.space import Space

_STORAGE = "sqlite:///optuna.db"
_VARIABLE = "TINYBENCH_STORAGE"
_OWN = ("engine",)  # the option of this command; the setting of that name goes into the space's [settings]
_HERE = ("track.uri", "track.experiment", "track.run_name", "track.tags")


class SweepCommand(SettingsCommand):
    """A command with the settings of a run, but for those whose names it needs itself."""

    settings_left_out = _OWN


_storage = click.option(
    "--storage",
    envvar=_VARIABLE,
    callback=lambda _context, _option, value: os.environ.get(_VARIABLE, _STORAGE) if value in UNTOUCHED else value,
    default=_STORAGE,
    show_default=True,
    help="Database of studies; postgresql://… for several machines (extra: postgres).",
)


@click.command(cls=SweepCommand)
@click.argument("space", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--trials", help="How many trials.  [default: as the space says]")
@click.option("--minutes", help="How long to start trials for.  [default: as the space says]")
@click.option("--seeds", help="Trainings of a trial, averaged.  [default: as the space says, or 1]")
@click.option(
    "--workers", default="1", show_default=True, help="Trials at once, of which each gets its share of threads."
)
@click.option("--study", help="Name of the new study.  [default: that of the space, with the time]")
@click.option("--resume", metavar="STUDY", help="Go on with a study; --trials or --minutes may ask for more.")
@click.option("--retry-failed", is_flag=True, help="With --resume: give trials that failed out again.")
@_storage
@click.option(
    "--engine", type=click.Choice(["processes", "ray"]), default="processes", show_default=True, help="ray is an extra."
)
@click.option("--address", default="auto", show_default=True, help="Of the Ray cluster: auto, or ray://HOST:PORT.")
@click.option("--cpu", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="Ray: of a trial.")
@click.option("--gpu", type=click.FloatRange(0), default=0.0, show_default=True, help="Ray: of a trial.")
@click.option("--memory", help="Ray: of a trial, as in 4GB.")
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
    """Search the settings of a SPACE file for the best, as an Optuna study whose trials are MLflow runs.

    Examples: tinybench sweep sweeps/transfer.toml --trials 30;
    tinybench sweep sweeps/finetune.toml --model resnet50 --head.l2 1e-4
    """
    from rich.console import Console as Terminal

    resume, study = (None if word in UNTOUCHED else word for word in (resume, study))
    space = None if str(space) in UNTOUCHED else space
    count, most = _count("workers", workers) or 1, _count("trials", trials)
    if (space is None) == (resume is None):
        raise ConfigError("Give a SPACE file, or --resume with the name of a study: one of the two.")
    if retry_failed and resume is None:
        raise ConfigError("--retry-failed goes with --resume STUDY.")
    own = {canonical(key): value for key, value in settings.items() if value not in UNTOUCHED}
    track = _track({key: own.pop(key) for key in _HERE if key in own})
    engine = _engine(count, storage, cluster)
    with quiet_libraries.starting():
        from tinybench.cli.sweep_progress import SweepConsole
        from tinybench.sweeps import driver, space_file
        from tinybench.tracking import journal

        journal.limit_retries()
    shown = SweepConsole(Terminal())
    try:
        if resume is not None:
            if own or seeds not in (None, *UNTOUCHED):
                raise ConfigError("A study goes on as it began: beside --resume, give --trials and --minutes alone.")
            more = {"trials": most, "minutes": _budget(None, minutes, None).get("minutes")}
            done = driver.resume(
                resume, **more, again=retry_failed, storage=storage, track=track, engine=engine, watcher=shown
            )
        else:
            assert space is not None
            given = own | _budget(most, minutes, seeds)
            read = space_file.read(_text(space), space.stem, given, shown_as=str(space))
            done = driver.begin(read, given, name=study, storage=storage, track=track, engine=engine, watcher=shown)
        shown.on_study_end(done)
    finally:
        shown.close()


@click.command("sweep-worker")
@click.argument("study")
@_storage
@click.option("--uri", envvar="MLFLOW_TRACKING_URI", help="Tracking store that holds the study's run.")
def sweep_worker(study: str, storage: str, uri: str | None) -> None:
    """Carry out trials of STUDY, which may be driven on another machine, until none is left."""
    with quiet_libraries.starting():
        from tinybench.hardware import allocator, device
        from tinybench.sweeps import join_study
        from tinybench.sweeps.samplers import WORKER

        allocator.keep_freed_memory()
        device.start()
    done = join_study.join(study, storage, uri, beside=WORKER not in os.environ)
    click.echo(f"{done} trials of study {study} were carried out here.")


def _engine(count: int, storage: str, cluster: dict[str, Any]) -> Engine:
    """What makes the workers."""

    def local(study: str, space: Space, uri: str) -> Workers:
        from tinybench.sweeps.local_workers import Pool

        return Pool(study, space, storage, uri, count)

    def ray(study: str, space: Space, uri: str) -> Workers:
        from tinybench.sweeps.ray_cluster import Cluster

        resources = {name: cluster[name] for name in ("cpu", "gpu", "memory")}
        return Cluster(study, space, storage, uri, count, address=cluster["address"], **resources)

    return ray if cluster["engine"] == "ray" else local


def _track(given: dict[str, str]) -> TrackConfig:
    from tinybench.config.run_config import RunConfig, replace

    return replace(RunConfig(), given).track


def _budget(trials: int | None, minutes: str | None, seeds: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"trials": trials, "seeds": _count("seeds", seeds)}
    if minutes not in (None, *UNTOUCHED):
        found["minutes"] = _positive("minutes", str(minutes))
    return {key: value for key, value in found.items() if value is not None}


def _positive(name: str, text: str) -> float:
    with suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise ConfigError(f"Invalid value for `--{name}`: expected a number above 0, got {text!r}.")


def _count(name: str, text: str | None) -> int | None:
    if text in (None, *UNTOUCHED):
        return None
    if not str(text).isdecimal() or int(str(text)) < 1:
        raise ConfigError(f"Invalid value for `--{name}`: expected a whole number of at least 1, got {text!r}.")
    return int(str(text))


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"Cannot read the space {file}: {error.strerror or error}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"Cannot read the space {file}: it is not UTF-8 text.") from error
