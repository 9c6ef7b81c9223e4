"""Run a cell inside a job of a cluster: these functions run there, and take nothing but text."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from tinybench.benchmark.cell_processes import CELL_COMMAND
from tinybench.hardware.child_process import ChildProcess


class JobEndedError(Exception):
    """The scheduler ends the job."""


def run_in_ray_task(line: str, variables: Mapping[str, str], folder: str) -> str:
    """Run a cell in a process of its own; this function is the task that Ray runs.

    Args:
        line: The task of the cell; see `CellTask.to_line`.
        variables: Environment variables of its process, such as the address of the tracking store.
        folder: The folder of the driver, in which the cell runs if this machine has it, too.

    Returns:
        Why the cell failed; empty if it is finished.
    """
    return _wait_for(ChildProcess([CELL_COMMAND], variables, line, folder if Path(folder).is_dir() else None))


def run_in_batch_job(line: str, variables: Mapping[str, str], user_signal: str) -> tuple[str, bool]:
    """Run a cell in a process of its own; this function is the job that submitit runs.

    SLURM ends a job by SIGTERM, and before the time limit by a signal of which submitit makes a requeue; submitit
    ignores the former. Both end the cell here, and its run as KILLED.

    Args:
        line: The task of the cell; see `CellTask.to_line`.
        variables: Environment variables of its process, such as the address of the tracking store.
        user_signal: Name of the signal that announces the time limit, such as `SIGUSR2`.

    Returns:
        Why the cell failed, empty if it is finished; and whether it is because the job was ended.
    """
    announcement = signal.Signals[user_signal]
    signal.signal(announcement, signal.SIG_IGN)  # inherited: SLURM may signal all processes of the job
    process = ChildProcess([CELL_COMMAND], variables, line)
    try:
        for number in (signal.SIGTERM, announcement):
            signal.signal(number, _end)
        return _wait_for(process), False
    except (JobEndedError, KeyboardInterrupt) as error:
        return str(error) or "Its job was interrupted.", True


def _wait_for(process: ChildProcess) -> str:
    """Wait for the process of a cell, and return why it failed; it ends with this function, whatever ends that."""
    try:
        while not process.wait():
            pass
        return process.describe_death() if process.exit_code() else ""
    finally:
        process.terminate()  # it ends its run as KILLED, and keeps the checkpoints
        process.close()


def _end(number: int, frame: FrameType | None) -> NoReturn:
    for other in (signal.SIGTERM, number):
        signal.signal(other, signal.SIG_IGN)  # a second one would interrupt what ends the run
    name = signal.Signals(number).name
    if number == signal.SIGTERM:
        raise JobEndedError(f"Its job was ended by {name}: it was cancelled or preempted.")
    raise JobEndedError(f"Its job was ended by {name}, as its time limit was near: give more by --slurm time=…")
