"""The most memory that this process had, as the operating system counts it: resident bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_GROUP = Path("/sys/fs/cgroup")


def resident() -> int:
    """Bytes that this process has now."""
    return int(psutil.Process().memory_info().rss)


def forget_peak() -> bool:
    """Count the peak anew from now on; False where the system cannot, and counts from the process's start."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def peak() -> int:
    """The most bytes since the process began, or since `forget_peak`."""
    try:
        status = _STATUS.read_text("utf-8")
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return _by_resource()


def _by_resource() -> int:
    """Of systems without /proc."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else 1024 * most)


def available() -> int:
    """Bytes that this process may still take, within the limit of its container where there is one."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((_GROUP / name).read_text("utf-8")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or one without a limit
        return free
    return min(free, max(limit - used, 0))
