"""Run cells as tasks of a Ray cluster, several at a time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinybench.benchmark.cell_engine import describe_other_job
from tinybench.benchmark.cell_job import run_in_ray_task
from tinybench.benchmark.cell_task import CellTask
from tinybench.hardware import child_process, ray_connection
from tinybench.hardware.ray_connection import RayConnection
from tinybench.tracking.tracker import OFFLINE_VARIABLE

_EXIT_SECONDS = 45.0  # that tasks have to end their runs; the processes in them have 30
_OF_THE_CELL = (OFFLINE_VARIABLE, "TF_CPP_MIN_LOG_LEVEL")  # variables of this process that hold for cells, too

ENVIRONMENT = {"RAY_kill_child_processes_on_worker_exit": "false"}
"""Environment variables of the tasks: a worker that ends does not kill the process of its cell, which then ends itself
and its run as KILLED, since its standard input ends."""


class RayCells:
    """The tasks of cells on a Ray cluster; a context manager that ends them.

    Args:
        count: How many wait or run at a time.
        uri: Address of the tracking store. It may hold a password, and is therefore an argument of the tasks: the
            dashboard of the cluster shows their environment.
        connection: The cluster.
        resources: Options of each task; see `ray_connection.make_resources`.
    """

    def __init__(self, count: int, uri: str, connection: RayConnection, resources: dict[str, Any]) -> None:
        self._count = count
        self._connection = connection
        self._ray: Any = connection.ray
        self._resources = resources
        self._variables = {name: os.environ[name] for name in _OF_THE_CELL if name in os.environ}
        self._variables |= child_process.thread_variables(resources["num_cpus"]) | {"MLFLOW_TRACKING_URI": uri}
        self._tasks: dict[int, Any] = {}

    def __enter__(self) -> RayCells:
        self._connection.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with suppress(self._ray.exceptions.RayError, ConnectionError):  # the cluster is gone, and its tasks with it
                self._cancel_all()
        finally:
            self._connection.__exit__()

    def _cancel_all(self) -> None:
        tasks = [*self._tasks.values()]
        for is_forced in (False, True):  # first as by Ctrl-C, by which the runs end as KILLED
            for task in tasks:
                self._ray.cancel(task, force=is_forced)
            if tasks:
                _, tasks = self._ray.wait(tasks, num_returns=len(tasks), timeout=_EXIT_SECONDS)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the cells whose tasks wait or run."""
        return [*self._tasks]

    @property
    def has_room(self) -> bool:
        """Return whether another cell may begin."""
        return len(self._tasks) < self._count

    def start(self, number: int, task: CellTask) -> str:
        """Start the task of a cell, which ends with this process; see `CellEngine.start`."""
        run = self._ray.remote(**self._resources)(run_in_ray_task)
        self._tasks[number] = run.remote(task.to_line(), self._variables, str(Path.cwd()))
        return ""

    def adopt(self, number: int, job: str) -> bool:
        """Raise: no task outlives the driver that started it; see `CellEngine.adopt`."""
        raise describe_other_job(number, job)

    def take_ended(self) -> dict[int, str]:
        """Return the cells whose tasks have ended since the last call, each with the reason if it failed.

        Raises:
            EngineError: The cluster does not answer any more.
        """
        if not self._tasks:
            return {}
        numbers = {task: number for number, task in self._tasks.items()}
        try:
            ready, _ = self._ray.wait([*numbers], num_returns=len(numbers), timeout=0)
            ended = {numbers[task]: self._reason(task) for task in ready}
        except ConnectionError as error:
            raise self._connection.unreachable(error) from error
        for number in ended:
            del self._tasks[number]
        return ended

    def _reason(self, task: Any) -> str:
        try:
            return str(self._ray.get(task))
        except self._ray.exceptions.RayError as error:
            return ray_connection.describe_failure(error)
