"""The machine certificate: a description of the machine that belongs to every measured time."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from tinybench.core.errors import DeviceError
from tinybench.hardware import nvml

_PACKAGES = ("tinybench", "keras", "tensorflow", "jax", "torch", "numpy", "openvino", "onnxruntime")
_CPUINFO = Path("/proc/cpuinfo")


def describe_machine(gpu: nvml.Gpu | None = None) -> dict[str, Any]:
    """Return what stays the same between measurements: processor, memory, system, GPU and library versions."""
    machine = {
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
        machine |= {"gpu": gpu.name, "gpu_uuid": gpu.uuid, "gpu_driver": nvml.driver_version()}
    return machine


def machine_id(machine: Mapping[str, Any]) -> str:
    """Return a hash (16 hex digits) that differs between machines whose times cannot be compared.

    Library versions are part of it, since another version may be faster; the UUID of a GPU and the size of the
    memory are not.

    Args:
        machine: The result of `describe_machine`.
    """
    relevant = {key: value for key, value in machine.items() if key not in ("gpu_uuid", "memory_bytes")}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def describe_load(gpu: nvml.Gpu | None = None) -> dict[str, Any]:
    """Return what changes between measurements: load average, clock rate and the state of the GPU."""
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    load: dict[str, Any] = {
        "load_average": [round(average, 2) for average in psutil.getloadavg()],
        "cpu_mhz": None if frequency is None else round(frequency.current),
    }
    if gpu is not None:
        load["gpu"] = gpu.state()
    return load


def find_gpu(index: int | None) -> tuple[nvml.Gpu | None, str]:
    """Return a GPU by its number; if there is none, None and the reason."""
    if index is None:
        return None, "the processor was used"
    try:
        return nvml.find_gpu(index), ""
    except DeviceError as error:
        return None, str(error)


def cpu_model() -> str:
    """Return the vendor's name of the processor."""
    try:
        lines = _CPUINFO.read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cpu_kind() -> str:
    """Return family, model and stepping, since clouds give one name to processors of several generations."""
    try:
        lines = _CPUINFO.read_text("utf-8").splitlines()
    except OSError:
        return ""
    fields = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    return " ".join(values[key] for key in ("cpu family", "model", "stepping") if key in values)


def usable_threads() -> int:
    """Return the number of processor threads that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
