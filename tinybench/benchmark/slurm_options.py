"""The options of SLURM jobs: `--slurm KEY=VALUE`, and what `--cpu`, `--gpu` and `--memory` mean there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest
from tinybench.hardware.task_memory import parse_memory

_TEXTS = (
    "account",
    "comment",
    "constraint",
    "dependency",
    "exclude",
    "exclusive",
    "gpus_per_task",
    "gres",
    "job_name",
    "mail_type",
    "mail_user",
    "mem_per_cpu",
    "mem_per_gpu",
    "nodelist",
    "partition",
    "qos",
    "signal_delay_s",
    "time",
    "wckey",
)
_LISTS = ("setup", "srun_args", "teardown")  # each time that it is given adds a line, or an argument
_ELSEWHERE = {
    "array_parallelism": "give --workers, the number of jobs at a time",
    "cpus_per_task": "give --cpu",
    "gpus_per_node": "give --gpu",
    "mem": "give --memory",
    "nodes": "each cell is one process on one node",
    "ntasks_per_node": "each cell is one process on one node",
}
_CLUSTERS = ("slurm", "local")


@dataclass(frozen=True)
class SlurmOptions:
    """Options of the jobs of cells.

    Attributes:
        cluster: `slurm`, or `local` for jobs that are processes of this machine.
        parameters: Parameters of submitit for jobs of SLURM.
        cpu: CPUs of each job.
        gpu: GPUs of each job.
    """

    cluster: str = "slurm"
    parameters: dict[str, Any] = field(default_factory=dict)
    cpu: int = 1
    gpu: int = 0


def read(pairs: Sequence[str], *, cpu: float = 1.0, gpu: float = 0.0, memory: str | None = None) -> SlurmOptions:
    """Return the options of jobs.

    Args:
        pairs: `KEY=VALUE` each.
        cpu: CPUs of each job, a whole number.
        gpu: GPUs of each job, a whole number.
        memory: Memory of each job, such as `4GB`; None for what the cluster gives.

    Raises:
        ConfigError: A key is unknown, a value is not allowed, or one is given twice.
    """
    cpus, gpus = _whole("--cpu", cpu), _whole("--gpu", gpu)
    parameters: dict[str, Any] = {}
    for pair in pairs:
        key, value = _split(pair)
        if key in _LISTS:
            parameters.setdefault(key, []).append(value)
        elif key in parameters:
            raise ConfigError(f"`--slurm {key}` is given twice, as {parameters[key]!r} and as {value!r}: give it once.")
        else:
            parameters[key] = _parse(key, value)
    cluster = parameters.pop("cluster", _CLUSTERS[0])
    parameters["cpus_per_task"] = cpus
    if gpus:
        parameters["gpus_per_node"] = gpus
    if memory is not None:
        parameters["mem"] = f"{math.ceil(parse_memory(memory) / 2**20)}M"
    return SlurmOptions(cluster, parameters, cpus, gpus)


def _split(pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    key = key.strip().removeprefix("--").replace("-", "_")
    if not equals or not value.strip():
        raise ConfigError(f"Invalid value for `--slurm`: expected KEY=VALUE, such as partition=gpu, got {pair!r}.")
    if key in _ELSEWHERE:
        raise ConfigError(f"Invalid value for `--slurm`: {key} is not set here: {_ELSEWHERE[key]}.")
    known = (*_TEXTS, *_LISTS, "cluster")
    if key not in known:
        raise ConfigError(
            f"Unknown key for `--slurm`: {key!r}.{suggest(key, known)} Expected one of {', '.join(sorted(known))}."
        )
    return key, value.strip()


def _parse(key: str, value: str) -> Any:
    if key == "exclusive" and value.lower() == "true":
        return True
    if key == "signal_delay_s":
        if not value.isdecimal():
            raise ConfigError(f"Invalid value for `--slurm {key}`: expected a whole number of seconds, got {value!r}.")
        return int(value)
    if key == "cluster" and value not in _CLUSTERS:
        raise ConfigError(f"Invalid value for `--slurm cluster`: expected slurm or local, got {value!r}.")
    return value


def _whole(option: str, number: float) -> int:
    if number != int(number) or (option == "--cpu" and number < 1):
        raise ConfigError(f"Invalid value for `{option}`: SLURM gives whole numbers, got {number:g}.")
    return int(number)
