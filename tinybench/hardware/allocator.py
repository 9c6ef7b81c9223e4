"""Keep freed memory in the process, for the next training step.

A step on a CPU frees and allocates the same gigabyte again. glibc returns large blocks to the system at
once, so that every step pays for page faults: a quarter of its processor time at 224 pixels.
`python -m benchmarks.allocator` measures it.
"""

from __future__ import annotations

import ctypes
import os

# Parameters and values from glibc's malloc.h
_ONE_ARENA = (-8, 1)  # arenas of threads cannot grow beyond 64 MiB
_NO_MAPS = (-4, 0)  # large blocks come from the heap as well
_TRIM_LATE = (-1, 2**31 - 1)


def keep_freed_memory() -> bool:
    """Tune glibc's malloc for this process; call it before the numerical libraries are loaded.

    Returns:
        True if it was done; False with another C library, or if the user has set `MALLOC_…` variables.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl
        return False
    return all(mallopt(*setting) for setting in (_ONE_ARENA, _NO_MAPS, _TRIM_LATE))
