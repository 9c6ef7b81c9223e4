"""Run cells in processes of this machine, several at a time."""

from __future__ import annotations

from tinybench.benchmark.cell_engine import describe_other_job
from tinybench.benchmark.cell_task import CellTask
from tinybench.hardware import child_process
from tinybench.hardware.child_process import ChildProcess

CELL_COMMAND = "benchmark-cell"
"""The hidden command that runs a cell."""


class CellProcesses:
    """The processes of cells; a context manager that ends them.

    Args:
        count: How many run at a time; they share the CPU.
        uri: Address of the tracking store, which reaches them in their environment, where others cannot read it.
    """

    def __init__(self, count: int, uri: str) -> None:
        self._count = count
        self._variables = {"MLFLOW_TRACKING_URI": uri} | child_process.share_variables(count)
        self._running: dict[int, ChildProcess] = {}

    def __enter__(self) -> CellProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.terminate()  # it ends its run as KILLED, and keeps the checkpoints
        for process in self._running.values():
            process.close()
        self._running.clear()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the cells that run."""
        return [*self._running]

    @property
    def has_room(self) -> bool:
        """Return whether another cell may begin."""
        return len(self._running) < self._count

    def start(self, number: int, task: CellTask) -> str:
        """Start the process of a cell, which ends with this one; see `CellEngine.start`."""
        self._running[number] = ChildProcess([CELL_COMMAND], self._variables, task.to_line())
        return ""

    def adopt(self, number: int, job: str) -> bool:
        """Raise: no process outlives the driver that started it; see `CellEngine.adopt`."""
        raise describe_other_job(number, job)

    def take_ended(self) -> dict[int, str]:
        """Return the cells whose processes have ended since the last call, each with the reason if it failed."""
        ended = {}
        for number, process in [*self._running.items()]:
            code = process.exit_code()
            if code is not None:
                ended[number] = process.describe_death() if code else ""
                process.close()
                del self._running[number]
        return ended


def open_processes(uri: str, count: int) -> CellProcesses:
    """Return the processes of this machine; see `grid_driver.OpenEngine`."""
    return CellProcesses(count, uri)
