"""Engines run the processes of cells: on this machine, on a Ray cluster, or as jobs of SLURM."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from tinybench.benchmark.cell_task import CellTask
from tinybench.core.errors import EngineError


class CellEngine(Protocol):
    """An engine that runs the processes of cells; a context manager that ends them."""

    @property
    def numbers(self) -> list[int]:
        """The numbers of the cells that wait for their process or run."""

    @property
    def has_room(self) -> bool:
        """Return whether another cell may begin."""

    def start(self, number: int, task: CellTask) -> str:
        """Start the process of a cell.

        Returns:
            The name of its job, by which a later driver finds it; empty if the process ends with this driver.
        """

    def adopt(self, number: int, job: str) -> bool:
        """Take over a job that an earlier driver started; return whether it still waits or runs.

        Raises:
            EngineError: It is a job of another engine, which alone can tell whether it still waits.
        """

    def take_ended(self) -> dict[int, str]:
        """Return the cells whose processes have ended since the last call, each with the reason if it failed."""

    def __enter__(self) -> CellEngine:
        """Start the engine."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """End the processes that run."""


def describe_other_job(number: int, job: str) -> EngineError:
    """Return the error that says that the job of a cell belongs to another engine."""
    return EngineError(
        f"Cell {number} was submitted as job {job}, which may still wait: go on with the --engine and --slurm of then, "
        "which find out and wait for it."
    )
