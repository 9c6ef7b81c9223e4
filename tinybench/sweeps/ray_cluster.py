"""Workers as tasks of a Ray cluster; tasks of a node that is lost are started again on another one."""

from __future__ import annotations

import re
import socket
from collections import deque
from typing import Any

from tinybench.config.fields import byte_size
from tinybench.core.errors import ConfigError, EngineError, TinybenchError
from tinybench.core.redaction import redact
from tinybench.sweeps.space import Space

_PING_SECONDS = 5.0
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
        try:
            import ray
        except ImportError as error:
            raise EngineError("Engine ray is not installed: pip install 'tinybench[ray]'.") from error
        for option, url in (("storage", storage), ("track.uri", uri)):
            if url.startswith("sqlite") and address.startswith("ray://"):
                raise ConfigError(
                    f"Invalid value for `--{option}`: other machines cannot reach {redact(url)}. "
                    "Give a server, such as postgresql://… for the storage and http://… for tracking."
                )
        space.check_workers(count)
        try:
            _ping(address)
        except OSError as error:
            raise EngineError(_describe_unreachable(address, error)) from error
        self._ray: Any = ray
        self._address = address
        self._arguments = (study, storage, uri)
        self._count = count
        self._resources: dict[str, Any] = {"num_cpus": cpu, "num_gpus": gpu, "max_retries": 0}
        self._resources |= {} if memory is None else {"memory": _parse_memory(memory)}
        self._tasks: list[Any] = []
        self._failures: deque[str] = deque(maxlen=_MAX_FAILURES)
        self._trials_trained = -1

    def __enter__(self) -> RayWorkers:
        threads = str(max(1, int(self._resources["num_cpus"])))
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
        environment = dict.fromkeys(names, threads) | {"TF_CPP_MIN_LOG_LEVEL": "2"}
        try:
            self._ray.init(
                address=self._address,
                runtime_env={"env_vars": environment},
                log_to_driver=False,
                logging_level="ERROR",
                namespace="tinybench",
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise EngineError(_describe_unreachable(self._address, error)) from error
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._tasks:  # no trial is left: they send their last entries
            self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=_EXIT_SECONDS)
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()

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
                self._failures.append(_describe_failure(error))
        if len(self._failures) == _MAX_FAILURES:
            raise TinybenchError(
                f"{_MAX_FAILURES} Ray tasks failed one after another, the last with: {self._failures[-1]}"
            )
        remote_work = self._ray.remote(**self._resources)(_work)
        self._tasks += [remote_work.remote(*self._arguments) for _ in range(self._count - len(self._tasks))]


def _describe_unreachable(address: str, error: Exception) -> str:
    return (
        f"Cannot reach a Ray cluster at {address}: {str(error).splitlines()[0].rstrip('.')}. "
        "Start one by ray start --head, or give --address."
    )


def _ping(address: str) -> None:
    """Raise at once if nothing listens at an address: Ray itself tries for minutes.

    Raises:
        OSError: Nothing listens.
    """
    match = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if match:
        socket.create_connection((match[1], int(match[2])), timeout=_PING_SECONDS).close()


def _work(study: str, storage: str, uri: str) -> int:
    """Be a worker of a study; this function is the task that Ray runs."""
    from tinybench.core import quiet_libraries

    quiet_libraries.quieten_libraries()
    from tinybench.sweeps import join_study

    return join_study.join(study, storage, uri)


def _parse_memory(memory: str) -> int:
    kind = byte_size()
    try:
        return int(kind.parse(memory))
    except ValueError:
        raise ConfigError(f"Invalid value for `--memory`: expected {kind.expected}, got {memory!r}.") from None


def _describe_failure(error: BaseException) -> str:
    """Return the last line of a task's error; the lines above it are a traceback."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return redact(lines[-1].strip() if lines else type(error).__name__)
