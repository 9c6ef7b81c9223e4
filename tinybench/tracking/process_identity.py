"""Identify this process, so that another one can tell whether it still lives."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil


def describe_process() -> str:
    """Return host, boot, namespace, process id and start time of this process, with spaces between."""
    number = os.getpid()
    return " ".join([*_machine(), str(number), _start_time(number)])


def is_same_machine(described: str) -> bool:
    """Return whether a described process ran on this host, where its id means the same as here."""
    host, _, namespace = described.split(" ")[:3]
    here, _, namespace_here = _machine()
    return (host, namespace) == (here, namespace_here)


def is_same_boot(described: str) -> bool:
    """Return whether a described process ran since this machine was started: a host name alone is often shared."""
    return described.split(" ")[1] == _machine()[1]


def is_alive(described: str) -> bool:
    """Return whether a described process of this host lives.

    A process with the same id that started at another time, or since another boot, is another one. Start times are
    counted from the boot, so that a clock that is set changes nothing.
    """
    _, boot, _, number, started = described.split(" ")
    try:
        is_zombie = psutil.Process(int(number)).status() == psutil.STATUS_ZOMBIE
        return not is_zombie and boot == _machine()[1] and started == _start_time(int(number))
    except (psutil.Error, OSError, ValueError):
        return boot == _machine()[1] and _is_hidden(int(number))


def _is_hidden(number: int) -> bool:
    """Return whether there is a process of another user that /proc, mounted with hidepid, does not show."""
    try:
        os.kill(number, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        pass
    return False


def _machine() -> tuple[str, str, str]:
    """Return the name of the host, what identifies its present boot, and the namespace of process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        boot, namespace = f"{psutil.boot_time():.0f}", "-"
    return platform.node().replace(" ", "_"), boot, namespace


def _start_time(number: int) -> str:
    """Return when a process started, in the system's ticks since the boot where it tells them."""
    try:
        # The name of the program, in parentheses, may hold anything; the start time is the 20th field behind it
        return Path(f"/proc/{number}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return f"{psutil.Process(number).create_time():.0f}"
