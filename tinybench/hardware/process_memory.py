"""Resident memory of this process, its peak, and what is available to it."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_GROUP = Path("/sys/fs/cgroup")


def resident_bytes() -> int:
    """Return the resident bytes of this process."""
    return int(psutil.Process().memory_info().rss)


def reset_peak() -> bool:
    """Start a new peak; return False if the system cannot, and counts from the start of the process."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """Return the most resident bytes since the process began, or since `reset_peak`."""
    try:
        status = _STATUS.read_text("utf-8")
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return _peak_without_proc()


def _peak_without_proc() -> int:
    """Return the peak on systems without /proc."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else 1024 * peak)


def available_bytes() -> int:
    """Return the bytes that this process may still allocate, within the limit of its container if there is one."""
    free = int(psutil.virtual_memory().available)
    try:
        limit, usage = (int((_GROUP / name).read_text("utf-8")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no container, or no limit
        return free
    return min(free, max(limit - usage, 0))
