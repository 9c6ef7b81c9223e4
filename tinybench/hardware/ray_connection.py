"""Connect to a Ray cluster, and say in one line why that fails."""

from __future__ import annotations

import re
import signal
import socket
import threading
from collections.abc import Mapping
from typing import Any

from tinybench.core.errors import ConfigError, EngineError
from tinybench.core.redaction import redact
from tinybench.hardware.task_memory import parse_memory

_PING_SECONDS = 5.0
_REASONS = {
    "NodeDiedError": "The node of the Ray cluster on which it ran is lost.",
    "LocalRayletDiedError": "The node of the Ray cluster on which it ran is lost.",
    "OutOfMemoryError": "Its node ran low on memory, and Ray ended it: ask for more by --memory.",
}
"""Why a task failed, by the name of Ray's error, where its text would not say so in its last line."""


class RayConnection:
    """A connection to a Ray cluster; a context manager that ends it.

    Args:
        address: Address of the cluster: `auto`, `HOST:PORT` or `ray://HOST:PORT`.
        variables: Environment variables of all tasks; the dashboard of the cluster shows them, so that none is secret.

    Attributes:
        ray: The module `ray`.

    Raises:
        EngineError: Ray is not installed, or nothing listens at the address.
    """

    def __init__(self, address: str, variables: Mapping[str, str]) -> None:
        try:
            import ray
        except ImportError as error:
            raise EngineError("Engine ray is not installed: pip install 'tinybench[ray]'.") from error
        self.ray: Any = ray
        self._address = address
        self._variables = dict(variables)
        try:
            _ping(address)
        except OSError as error:
            raise self.unreachable(error) from error

    def __enter__(self) -> RayConnection:
        handler = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(
                address=self._address,
                runtime_env={"env_vars": self._variables},
                log_to_driver=False,
                logging_level="ERROR",
                namespace="tinybench",
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise self.unreachable(error) from error
        finally:
            if handler is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)  # Ray sets its own, by which no run would end as KILLED
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def unreachable(self, error: BaseException) -> EngineError:
        """Return the error that says that the cluster does not answer."""
        return EngineError(
            f"Cannot reach a Ray cluster at {self._address}: {str(error).splitlines()[0].rstrip('.')}. "
            "Start one by ray start --head, or give --address."
        )


def make_resources(cpu: float, gpu: float, memory: str | None) -> dict[str, Any]:
    """Return the options of a task that is not started again by Ray.

    Args:
        cpu: CPUs of the task.
        gpu: GPUs of the task.
        memory: Its memory, such as `4GB`; None for no limit.

    Raises:
        ConfigError: `memory` is not a size.
    """
    resources: dict[str, Any] = {"num_cpus": cpu, "num_gpus": gpu, "max_retries": 0}
    return resources if memory is None else resources | {"memory": parse_memory(memory)}


def check_database(option: str, url: str, address: str) -> None:
    """Raise if the machines of a cluster cannot reach a database.

    Args:
        option: The option that names the database, without its dashes.
        url: Address of the database.
        address: Address of the cluster.

    Raises:
        ConfigError: It is a file, and the cluster is elsewhere.
    """
    if url.startswith("sqlite") and address.startswith("ray://"):
        raise ConfigError(
            f"Invalid value for `--{option}`: other machines cannot reach {redact(url)}. "
            "Give a server, such as postgresql://… for the storage and http://… for tracking."
        )


def describe_failure(error: BaseException) -> str:
    """Return why a task failed: the last line of its error, since the lines above it are a traceback."""
    if type(error).__name__ in _REASONS:
        return _REASONS[type(error).__name__]
    lines = [line for line in str(error).splitlines() if line.strip()]
    return redact(lines[-1].strip() if lines else type(error).__name__)


def _ping(address: str) -> None:
    """Raise at once if nothing listens at an address: Ray itself tries for minutes.

    Raises:
        OSError: Nothing listens.
    """
    match = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if match:
        socket.create_connection((match[1], int(match[2])), timeout=_PING_SECONDS).close()
