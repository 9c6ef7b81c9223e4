"""On what machine a time was taken: it says little without, and nothing beside that of another machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from tinybench.core.errors import DeviceError
from tinybench.hardware import nvml

_PACKAGES = ("tinybench", "keras", "tensorflow", "jax", "torch", "numpy", "openvino", "onnxruntime")
_CPUINFO = Path("/proc/cpuinfo")


def machine(gpu: nvml.Gpu | None = None) -> dict[str, Any]:
    """What stays the same: processor, memory, system, GPU and the versions of libraries."""
    found = {
        "cpu": cpu_model(),
        "cpu_kind": cpu_kind(),
        "cpu_threads": psutil.cpu_count(),
        "cpu_cores": psutil.cpu_count(logical=False),
        "cpu_usable": usable_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": _versions(),
    }
    if gpu is not None:
        found |= {"gpu": gpu.name, "gpu_uuid": gpu.uuid, "gpu_driver": nvml.driver()}
    return found


def identity(machine: Mapping[str, Any]) -> str:
    """Sixteen hex digits by which machines are told apart: times of two of them cannot be compared.

    Libraries belong to it, since another version may be faster; the number of a GPU of one kind does not.
    """
    kept = {key: value for key, value in machine.items() if key not in ("gpu_uuid", "memory_bytes")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def moment(gpu: nvml.Gpu | None = None) -> dict[str, Any]:
    """What changes from one measurement to the next: load, clock and the GPU's state."""
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    found: dict[str, Any] = {
        "load_average": [round(each, 2) for each in psutil.getloadavg()],
        "cpu_mhz": None if frequency is None else round(frequency.current),
    }
    if gpu is not None:
        found["gpu"] = gpu.state()
    return found


def gpu_or_reason(index: int | None) -> tuple[nvml.Gpu | None, str]:
    """The GPU that is measured on; else nothing, and why."""
    if index is None:
        return None, "the processor was used"
    try:
        return nvml.find(index), ""
    except DeviceError as error:
        return None, str(error)


def cpu_model() -> str:
    """As the vendor calls it."""
    try:
        lines = _CPUINFO.read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cpu_kind() -> str:
    """Family, model and stepping: clouds call processors of several generations the same."""
    try:
        lines = _CPUINFO.read_text("utf-8").splitlines()
    except OSError:
        return ""
    named = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    known = {key.strip(): value.strip() for key, value in named.items()}
    return " ".join(known[key] for key in ("cpu family", "model", "stepping") if key in known)


def usable_threads() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
