"""What NVML says of a GPU: memory of a process, clocks, throttling, power and energy.

The only place that imports pynvml. Where there is no library or no GPU, `find` says why, and nothing else is asked.
A figure that a GPU does not give (many laptops have no power, MIG devices no clocks) is None.
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
class Memory:
    """Bytes that are used on a GPU.

    Attributes:
        used: How many.
        scope: `process`, or `device` where the driver does not tell this process from others (as in many containers):
            then what others begin to use in the meantime counts too.
    """

    used: int
    scope: str


class Gpu:
    """A GPU, or a part of one (MIG), told by its UUID."""

    def __init__(self, uuid: str, handle: Any) -> None:
        """Args: the UUID, and what NVML knows it by."""
        self.uuid = uuid
        self._handle = handle
        # Clocks, power and energy are those of the whole GPU that a part lies in
        self._whole = _or_none(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle, handle) or handle

    @property
    def name(self) -> str:
        """As the vendor calls it."""
        return str(_or_none(pynvml.nvmlDeviceGetName, self._handle) or "GPU")

    def memory(self, pid: int | None = None) -> Memory:
        """Bytes that a process uses, this one when None.

        Raises:
            DeviceError: NVML says nothing of memory.
        """
        processes = _or_none(pynvml.nvmlDeviceGetComputeRunningProcesses, self._handle) or []
        own = [each.usedGpuMemory for each in processes if each.pid == (pid or os.getpid())]
        if own and None not in own:
            return Memory(sum(own), "process")
        found = _or_none(pynvml.nvmlDeviceGetMemoryInfo, self._handle)
        if found is None:
            raise DeviceError(f"NVML says nothing of the memory of {self.uuid}.")
        return Memory(int(found.used), "device")

    def free(self) -> int:
        """Bytes that nobody uses; 0 where NVML does not say."""
        found = _or_none(pynvml.nvmlDeviceGetMemoryInfo, self._handle)
        return 0 if found is None else int(found.free)

    def watts(self) -> float | None:
        """Power that is drawn now."""
        found = _or_none(pynvml.nvmlDeviceGetPowerUsage, self._whole)
        return None if found is None else found / 1000

    def joules(self) -> float | None:
        """Energy since the driver was loaded."""
        found = _or_none(pynvml.nvmlDeviceGetTotalEnergyConsumption, self._whole)
        return None if found is None else found / 1000

    def state(self) -> dict[str, Any]:
        """What decides how fast it is now: clocks in MHz, why they are held down, degrees Celsius, watts."""
        sm, memory = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
        return {
            "clock_sm_mhz": _or_none(pynvml.nvmlDeviceGetClockInfo, self._whole, sm),
            "clock_sm_most_mhz": _or_none(pynvml.nvmlDeviceGetMaxClockInfo, self._whole, sm),
            "clock_memory_mhz": _or_none(pynvml.nvmlDeviceGetClockInfo, self._whole, memory),
            "held_down_by": self._reasons(),
            "celsius": _or_none(pynvml.nvmlDeviceGetTemperature, self._whole, pynvml.NVML_TEMPERATURE_GPU),
            "watts": self.watts(),
        }

    def _reasons(self) -> list[str] | None:
        bits = _or_none(pynvml.nvmlDeviceGetCurrentClocksEventReasons, self._whole)
        if bits is None:  # drivers before 535 know it by its old name
            bits = _or_none(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, self._whole)
        return None if bits is None else [name for name, bit in _REASONS.items() if bits & bit]


def find(index: int = 0) -> Gpu:
    """The GPU that a framework of this process numbers so, which CUDA_VISIBLE_DEVICES may have chosen.

    CUDA numbers GPUs as NVML does where CUDA_DEVICE_ORDER is PCI_BUS_ID, or all are of one kind.

    Raises:
        DeviceError: it says why there is none: no library, no driver, no such GPU.
    """
    try:
        pynvml.nvmlInit()
        visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        if visible and index >= len(visible):
            raise DeviceError(f"CUDA_VISIBLE_DEVICES shows {len(visible)} GPUs, and GPU {index} was asked for.")
        return _named(visible[index] if visible else str(index))
    except pynvml.NVMLError as error:
        raise DeviceError(f"NVML: {error}.") from error


def driver() -> str:
    """Version of the driver; to be asked after `find`."""
    return str(_or_none(pynvml.nvmlSystemGetDriverVersion) or "")


def _named(name: str) -> Gpu:
    """A GPU by its number or the beginning of its UUID, as CUDA takes both."""
    if name.isdigit():
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(name))
        return Gpu(str(pynvml.nvmlDeviceGetUUID(handle)), handle)
    for uuid, handle in _all():
        if uuid.startswith(name):
            return Gpu(uuid, handle)
    raise DeviceError(f"NVML knows no GPU {name}.")


def _all() -> list[tuple[str, Any]]:
    """Every GPU and every part of one."""
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        whole = pynvml.nvmlDeviceGetHandleByIndex(index)
        parts = range(_or_none(pynvml.nvmlDeviceGetMaxMigDeviceCount, whole) or 0)
        handles = [whole, *(_or_none(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, whole, part) for part in parts)]
        found += [(str(pynvml.nvmlDeviceGetUUID(each)), each) for each in handles if each is not None]
    return found


def _or_none(ask: Callable[..., _Value], *given: Any) -> _Value | None:
    try:
        return ask(*given)
    except pynvml.NVMLError:
        return None


class Sampler:
    """Watches a GPU from a thread of its own, as a context: the most memory, and energy.

    A peak between two samples is missed: the interval is told with the figures.
    """

    def __init__(self, gpu: Gpu, interval: float = INTERVAL) -> None:
        """Args: the GPU, and seconds between two samples."""
        self._gpu, self._interval = gpu, interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="nvml", daemon=True)
        self._baseline = gpu.memory()
        self.peak = self._baseline
        self.samples = 0
        self._watts: list[float] = []
        self._joules: float | None = None

    def __enter__(self) -> Sampler:
        """Begin to watch."""
        self._began, self._before = time.perf_counter(), self._gpu.joules()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take a last sample, and stop."""
        self._done.set()
        self._thread.join()
        with suppress(DeviceError):
            self._sample()
        self._seconds, after = time.perf_counter() - self._began, self._gpu.joules()
        self._joules = None if self._before is None or after is None else after - self._before

    def figures(self) -> dict[str, float]:
        """`memory_bytes` over the baseline, `joules` (by the GPU's counter, else by power), `interval_seconds`."""
        found = {"memory_bytes": float(self.peak.used - self._start()), "interval_seconds": self._interval}
        if self._joules is not None:
            found["joules"] = self._joules
        elif self._watts:
            found["joules"] = sum(self._watts) / len(self._watts) * self._seconds
        return found

    def _start(self) -> int:
        """What was used before; nothing of a process that the driver did not know yet."""
        return self._baseline.used if self._baseline.scope == self.peak.scope else 0

    def _watch(self) -> None:
        with suppress(DeviceError):  # what was seen until then stays
            while not self._done.wait(self._interval):
                self._sample()

    def _sample(self) -> None:
        self.samples += 1
        now = self._gpu.memory()
        told_apart = now.scope == "process" != self.peak.scope
        if told_apart or (now.scope == self.peak.scope and now.used > self.peak.used):
            self.peak = now
        watts = self._gpu.watts()
        if watts is not None:
            self._watts.append(watts)
