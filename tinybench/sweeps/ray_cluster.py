"""Workers as tasks of a Ray cluster; those of a node that is lost are started anew elsewhere."""

from __future__ import annotations

import re
import socket
from collections import deque
from typing import Any

from tinybench.config.fields import size
from tinybench.core.errors import ConfigError, EngineError, TinybenchError
from tinybench.core.redaction import without_secrets
from tinybench.sweeps.space import Space

_SECONDS_TO_ANSWER = 5.0
_PATIENCE = 9  # tasks that fail one after another without a trial trained
_LAST_LINES = 30.0  # seconds that a task has to end


class Cluster:
    """So many workers of a study, each with its share of the cluster; a context that ends them."""

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
        """Args: the study, its space, its storage and tracking store, how many workers, and what each of them gets.

        Raises:
            EngineError: Ray is not installed.
            ConfigError: a storage that other machines cannot reach, or a memory that is no size.
        """
        try:
            import ray
        except ImportError as error:
            raise EngineError("Engine ray is not installed: pip install 'tinybench[ray]'.") from error
        for name, place in (("storage", storage), ("track.uri", uri)):
            if place.startswith("sqlite") and address.startswith("ray://"):
                raise ConfigError(
                    f"Invalid value for `--{name}`: other machines cannot reach {without_secrets(place)}. "
                    "Give a server, such as postgresql://… for the storage and http://… for tracking."
                )
        space.check_workers(count)
        try:
            _knock(address)
        except OSError as error:
            raise EngineError(_unreachable(address, error)) from error
        self._ray: Any = ray
        self._address = address
        self._given = (study, storage, uri)
        self._count = count
        self._resources: dict[str, Any] = {"num_cpus": cpu, "num_gpus": gpu, "max_retries": 0}
        self._resources |= {} if memory is None else {"memory": _bytes(memory)}
        self._tasks: list[Any] = []
        self._failures: deque[str] = deque(maxlen=_PATIENCE)
        self._trained = -1

    def __enter__(self) -> Cluster:
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
            raise EngineError(_unreachable(self._address, error)) from error
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._tasks:  # nothing is left for them: they write their last lines
            self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=_LAST_LINES)
        for task in self._tasks:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()

    def tend(self, begun: int, trained: int) -> None:
        """Start tasks where some are missing; as `local.Pool`.

        Raises:
            TinybenchError: task after task fails.
        """
        if trained != self._trained:
            self._trained = trained
            self._failures.clear()
        ended, self._tasks = (
            self._ray.wait(self._tasks, num_returns=len(self._tasks), timeout=0) if self._tasks else ([], [])
        )
        for task in ended:
            try:
                self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                self._failures.append(_reason(error))
        if len(self._failures) == _PATIENCE:
            raise TinybenchError(f"{_PATIENCE} Ray tasks failed one after another, the last with: {self._failures[-1]}")
        work = self._ray.remote(**self._resources)(_work)
        self._tasks += [work.remote(*self._given) for _ in range(self._count - len(self._tasks))]


def _unreachable(address: str, error: Exception) -> str:
    return (
        f"Cannot reach a Ray cluster at {address}: {str(error).splitlines()[0].rstrip('.')}. "
        "Start one by ray start --head, or give --address."
    )


def _knock(address: str) -> None:
    """See at once whether anybody listens: Ray goes on trying for minutes.

    Raises:
        OSError: nobody does.
    """
    found = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if found:
        socket.create_connection((found[1], int(found[2])), timeout=_SECONDS_TO_ANSWER).close()


def _work(study: str, storage: str, uri: str) -> int:
    """A task: a worker of the study."""
    from tinybench.core import quiet_libraries

    quiet_libraries.libraries()
    from tinybench.sweeps import join_study

    return join_study.join(study, storage, uri)


def _bytes(memory: str) -> int:
    kind = size()
    try:
        return int(kind.parse(memory))
    except ValueError:
        raise ConfigError(f"Invalid value for `--memory`: expected {kind.expected}, got {memory!r}.") from None


def _reason(error: BaseException) -> str:
    """The last line of what happened in a task: above it is a traceback."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return without_secrets(lines[-1].strip() if lines else type(error).__name__)
