"""Workers as tasks of a Ray cluster; tasks of a node that is lost are started again on another one."""

from __future__ import annotations

from collections import deque
from typing import Any

from tinybench.core.errors import TinybenchError
from tinybench.hardware import child_process, ray_connection
from tinybench.hardware.ray_connection import RayConnection
from tinybench.sweeps.space import Space

_MAX_FAILURES = 9  # tasks that fail one after another while no trial is trained
_EXIT_SECONDS = 30.0  # that a task has to end


class RayWorkers:
    """The workers of a study on a Ray cluster; a context manager that ends them.

    Args:
        study: Name of the study.
        space: Its search space.
        storage: Address of its database.
        uri: Address of the tracking store.
        count: Number of workers.
        address: Address of the cluster: `auto`, `HOST:PORT` or `ray://HOST:PORT`.
        cpu: CPUs of each worker.
        gpu: GPUs of each worker.
        memory: Memory of each worker, such as `4GB`; None for no limit.

    Raises:
        EngineError: Ray is not installed, or the cluster does not answer.
        ConfigError: Other machines cannot reach the storage, or `memory` is not a size.
    """

    def __init__(
        self,
        study: str,
        space: Space,
        storage: str,
        uri: str,
        count: int,
        *,
        address: str,
        cpu: float,
        gpu: float,
        memory: str | None,
    ) -> None:
        resources = ray_connection.make_resources(cpu, gpu, memory)
        for option, url in (("storage", storage), ("track.uri", uri)):
            ray_connection.check_database(option, url, address)
        space.check_workers(count)
        variables = child_process.thread_variables(cpu) | {"TF_CPP_MIN_LOG_LEVEL": "2"}
        self._connection = RayConnection(address, variables)
        self._ray: Any = self._connection.ray
        self._arguments = (study, storage, uri)
        self._count = count
        self._resources = resources
        self._tasks: list[Any] = []
        self._failures: deque[str] = deque(maxlen=_MAX_FAILURES)
        self._trials_trained = -1

    def __enter__(self) -> RayWorkers:
        self._connection.__enter__()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._tasks:  # no trial is left: they send their last entries
            self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=_EXIT_SECONDS)
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._connection.__exit__()

    def start_missing(self, trials_taken: int, trials_trained: int) -> None:
        """Start tasks in place of those that ended; see `LocalWorkers.start_missing`.

        Raises:
            TinybenchError: Too many tasks failed one after another.
        """
        if trials_trained != self._trials_trained:
            self._trials_trained = trials_trained
            self._failures.clear()
        ended, self._tasks = (
            self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0) if self._tasks else ([], [])
        )
        for task in ended:
            try:
                self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                self._failures.append(ray_connection.describe_failure(error))
        if len(self._failures) == _MAX_FAILURES:
            raise TinybenchError(
                f"{_MAX_FAILURES} Ray tasks failed one after another, the last with: {self._failures[-1]}"
            )
        remote_work = self._ray.remote(**self._resources)(_work)
        self._tasks += [remote_work.remote(*self._arguments) for _ in range(self._count - len(self._tasks))]


def _work(study: str, storage: str, uri: str) -> int:
    """Be a worker of a study; this function is the task that Ray runs."""
    from tinybench.core import quiet_libraries

    quiet_libraries.quieten_libraries()
    from tinybench.sweeps import join_study

    return join_study.join(study, storage, uri)
