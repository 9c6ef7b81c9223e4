"""Which engine runs the cells of a benchmark, with its options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from tinybench.benchmark.cell_processes import open_processes
from tinybench.benchmark.grid_plan import benchmark_folder
from tinybench.core.errors import ConfigError

if TYPE_CHECKING:
    from tinybench.benchmark.cell_engine import CellEngine
    from tinybench.benchmark.grid_driver import OpenEngine

_OPTIONS = {"processes": (), "ray": ("address", "cpu", "gpu", "memory"), "slurm": ("cpu", "gpu", "memory", "slurm")}


@dataclass(frozen=True)
class EngineOptions:
    """An engine and its options.

    Attributes:
        engine: `processes` of this machine, `ray` or `slurm`.
        address: Ray: address of the cluster, `auto`, `HOST:PORT` or `ray://HOST:PORT`.
        cpu: Ray, SLURM: CPUs of each cell.
        gpu: Ray, SLURM: GPUs of each cell.
        memory: Ray, SLURM: memory of each cell, such as `4GB`.
        slurm: SLURM: `KEY=VALUE` each.

    Raises:
        ConfigError: The engine is unknown, or does not have an option.
    """

    engine: str = "processes"
    address: str = "auto"
    cpu: float = 1.0
    gpu: float = 0.0
    memory: str | None = None
    slurm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.engine not in _OPTIONS:
            raise ConfigError(
                f"Invalid value for `engine`: expected one of {', '.join(_OPTIONS)}, got {self.engine!r}."
            )
        for option in fields(self)[1:]:
            if option.name not in _OPTIONS[self.engine] and getattr(self, option.name) != option.default:
                engines = " or ".join(name for name, options in _OPTIONS.items() if option.name in options)
                raise ConfigError(
                    f"--{option.name} has no effect with --engine {self.engine}: give --engine {engines}."
                )


def choose_engine(options: EngineOptions, name: str, on_message: Callable[[str], None]) -> OpenEngine:
    """Return what opens the engine of a benchmark, after it was checked that the engine is there.

    Args:
        options: The engine and its options.
        name: Name of the benchmark.
        on_message: Receives messages for the person at the terminal.

    Raises:
        EngineError: The engine is not installed, or does not answer.
        ConfigError: An option has a value that the engine does not take.
    """
    if options.engine == "ray":
        return _choose_ray(options)
    if options.engine == "slurm":
        return _choose_slurm(options, name, on_message)
    return open_processes


def _choose_ray(options: EngineOptions) -> OpenEngine:
    from tinybench.benchmark.ray_cells import ENVIRONMENT, RayCells
    from tinybench.hardware import ray_connection

    resources = ray_connection.make_resources(options.cpu, options.gpu, options.memory)
    connection = ray_connection.RayConnection(options.address, ENVIRONMENT)

    def open_ray(uri: str, count: int) -> CellEngine:
        ray_connection.check_database("track.uri", uri, options.address)
        return RayCells(count, uri, connection, resources)

    return open_ray


def _choose_slurm(options: EngineOptions, name: str, on_message: Callable[[str], None]) -> OpenEngine:
    from tinybench.benchmark import slurm_cells, slurm_options

    jobs = slurm_options.read(options.slurm, cpu=options.cpu, gpu=options.gpu, memory=options.memory)
    slurm_cells.load_submitit(jobs)

    def open_slurm(uri: str, count: int) -> CellEngine:
        return slurm_cells.SlurmCells(count, uri, benchmark_folder(name) / "jobs", jobs, on_message)

    return open_slurm
