"""Query a GPU through NVML: memory of a process, clocks, throttling, power and energy.

This is the only module that imports pynvml. If there is no library or no GPU, `find_gpu` raises an error that says why.
A value that a GPU does not report (many laptops have no power, MIG devices no clocks) is None.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import pynvml

from tinybench.core.errors import DeviceError

INTERVAL = 0.1  # seconds between two samples

_Value = TypeVar("_Value")

_REASONS = {
    "idle": pynvml.nvmlClocksEventReasonGpuIdle,
    "application clocks": pynvml.nvmlClocksEventReasonApplicationsClocksSetting,
    "power cap": pynvml.nvmlClocksEventReasonSwPowerCap,
    "hardware slowdown": pynvml.nvmlClocksThrottleReasonHwSlowdown,
    "sync boost": pynvml.nvmlClocksEventReasonSyncBoost,
    "heat": pynvml.nvmlClocksEventReasonSwThermalSlowdown,
    "heat (hardware)": pynvml.nvmlClocksThrottleReasonHwThermalSlowdown,
    "power brake": pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    "display clocks": pynvml.nvmlClocksEventReasonDisplayClockSetting,
}


@dataclass(frozen=True)
class GpuMemory:
    """Used memory of a GPU.

    Attributes:
        used_bytes: The used memory in bytes.
        scope: `process`, or `device` if the driver does not distinguish processes (as in many containers): then
            memory that other processes begin to use counts as well.
    """

    used_bytes: int
    scope: str


class Gpu:
    """A GPU, or a MIG device of one, identified by its UUID.

    Args:
        uuid: The UUID.
        handle: NVML's handle.
    """

    def __init__(self, uuid: str, handle: Any) -> None:
        self.uuid = uuid
        self._handle = handle
        # A MIG device has the clocks, power and energy of its GPU
        self._physical = _or_none(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle) or handle

    @property
    def name(self) -> str:
        """The vendor's name."""
        return str(_or_none(pynvml.nvmlDeviceGetName, self._handle) or "GPU")

    def memory(self, pid: int | None = None) -> GpuMemory:
        """Return the memory that a process uses; this process if `pid` is None.

        Raises:
            DeviceError: NVML does not report memory.
        """
        processes = _or_none(pynvml.nvmlDeviceGetComputeRunningProcesses, self._handle) or []
        sizes = [process.usedGpuMemory for process in processes if process.pid == (pid or os.getpid())]
        if sizes and None not in sizes:
            return GpuMemory(sum(sizes), "process")
        info = _or_none(pynvml.nvmlDeviceGetMemoryInfo, self._handle)
        if info is None:
            raise DeviceError(f"NVML does not report the memory of {self.uuid}.")
        return GpuMemory(int(info.used), "device")

    def free(self) -> int:
        """Return the free bytes; 0 if NVML does not report them."""
        info = _or_none(pynvml.nvmlDeviceGetMemoryInfo, self._handle)
        return 0 if info is None else int(info.free)

    def watts(self) -> float | None:
        """Return the present power."""
        milliwatts = _or_none(pynvml.nvmlDeviceGetPowerUsage, self._physical)
        return None if milliwatts is None else milliwatts / 1000

    def joules(self) -> float | None:
        """Return the energy since the driver was loaded."""
        millijoules = _or_none(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._physical)
        return None if millijoules is None else millijoules / 1000

    def state(self) -> dict[str, Any]:
        """Return what affects the present speed: clocks in MHz, throttle reasons, temperature in Celsius, watts."""
        sm, memory = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
        return {
            "clock_sm_mhz": _or_none(pynvml.nvmlDeviceGetClockInfo, self._physical, sm),
            "clock_sm_most_mhz": _or_none(pynvml.nvmlDeviceGetMaxClockInfo, self._physical, sm),
            "clock_memory_mhz": _or_none(pynvml.nvmlDeviceGetClockInfo, self._physical, memory),
            "held_down_by": self._throttle_reasons(),
            "celsius": _or_none(pynvml.nvmlDeviceGetTemperature, self._physical, pynvml.NVML_TEMPERATURE_GPU),
            "watts": self.watts(),
        }

    def _throttle_reasons(self) -> list[str] | None:
        bits = _or_none(pynvml.nvmlDeviceGetCurrentClocksEventReasons, self._physical)
        if bits is None:  # drivers before 535 have the old name
            bits = _or_none(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._physical)
        return None if bits is None else [name for name, bit in _REASONS.items() if bits & bit]


def find_gpu(index: int = 0) -> Gpu:
    """Return a GPU by its number in the frameworks of this process, which CUDA_VISIBLE_DEVICES may map.

    CUDA numbers GPUs as NVML does if CUDA_DEVICE_ORDER is PCI_BUS_ID, or if all are of one kind.

    Raises:
        DeviceError: There is no library, no driver or no such GPU; the message says which.
    """
    try:
        pynvml.nvmlInit()
        visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        if visible and index >= len(visible):
            raise DeviceError(f"CUDA_VISIBLE_DEVICES shows {len(visible)} GPUs, and GPU {index} was asked for.")
        return _find_by_name(visible[index] if visible else str(index))
    except pynvml.NVMLError as error:
        raise DeviceError(f"NVML: {error}.") from error


def driver_version() -> str:
    """Return the version of the driver; call it after `find_gpu`."""
    return str(_or_none(pynvml.nvmlSystemGetDriverVersion) or "")


def _find_by_name(name: str) -> Gpu:
    """Return a GPU by its number or the beginning of its UUID; CUDA accepts both."""
    if name.isdigit():
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(name))
        return Gpu(str(pynvml.nvmlDeviceGetUUID(handle)), handle)
    for uuid, handle in _list_devices():
        if uuid.startswith(name):
            return Gpu(uuid, handle)
    raise DeviceError(f"NVML knows no GPU {name}.")


def _list_devices() -> list[tuple[str, Any]]:
    """Return UUID and handle of every GPU and MIG device."""
    devices = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        gpu = pynvml.nvmlDeviceGetHandleByIndex(index)
        mig_indices = range(_or_none(pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0)
        mig_devices = [_or_none(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, mig) for mig in mig_indices]
        handles = [gpu, *(device for device in mig_devices if device is not None)]
        devices += [(str(pynvml.nvmlDeviceGetUUID(handle)), handle) for handle in handles]
    return devices


def _or_none(query: Callable[..., _Value], *args: Any) -> _Value | None:
    try:
        return query(*args)
    except pynvml.NVMLError:
        return None


class GpuSampler:
    """Samples a GPU from a thread: peak memory and energy, between entering and leaving the context.

    A peak between two samples is missed, so the interval is reported with the metrics.

    Args:
        gpu: The GPU.
        interval: Seconds between two samples.

    Attributes:
        peak: The highest memory.
        samples: The number of samples.
    """

    def __init__(self, gpu: Gpu, interval: float = INTERVAL) -> None:
        self._gpu, self._interval = gpu, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nvml", daemon=True)
        self._baseline = gpu.memory()
        self.peak = self._baseline
        self.samples = 0
        self._watts: list[float] = []
        self._joules: float | None = None

    def __enter__(self) -> GpuSampler:
        """Start to sample."""
        self._start_time, self._start_joules = time.perf_counter(), self._gpu.joules()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take a last sample, and stop."""
        self._stop.set()
        self._thread.join()
        with suppress(DeviceError):
            self._sample()
        self._seconds, end_joules = time.perf_counter() - self._start_time, self._gpu.joules()
        if self._start_joules is not None and end_joules is not None:
            self._joules = end_joules - self._start_joules

    def metrics(self) -> dict[str, float]:
        """Return `memory_bytes` over the baseline, `joules` (by a counter, else by power) and `interval_seconds`."""
        # A process that the driver did not know at first had no memory
        baseline = self._baseline.used_bytes if self._baseline.scope == self.peak.scope else 0
        metrics = {"memory_bytes": float(self.peak.used_bytes - baseline), "interval_seconds": self._interval}
        if self._joules is not None:
            metrics["joules"] = self._joules
        elif self._watts:
            metrics["joules"] = sum(self._watts) / len(self._watts) * self._seconds
        return metrics

    def _run(self) -> None:
        with suppress(DeviceError):  # keep the samples up to an error
            while not self._stop.wait(self._interval):
                self._sample()

    def _sample(self) -> None:
        self.samples += 1
        memory = self._gpu.memory()
        newly_distinguished = memory.scope == "process" != self.peak.scope
        if newly_distinguished or (memory.scope == self.peak.scope and memory.used_bytes > self.peak.used_bytes):
            self.peak = memory
        watts = self._gpu.watts()
        if watts is not None:
            self._watts.append(watts)
