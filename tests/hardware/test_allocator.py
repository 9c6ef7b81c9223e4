"""Freed memory is kept, so that taking it again costs no page faults."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, sys
from tinybench.hardware import allocator
tuned = allocator.keep_freed_memory() if sys.argv[1] == "tuned" else None
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.memset.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
libc.free.argtypes = (ctypes.c_void_p,)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block = libc.malloc(48 << 20)
    libc.memset(block, 1, 48 << 20)
    libc.free(block)
print(tuned, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is tuned")


def measure(how: str, **variables: str) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | variables
    result = subprocess.run([sys.executable, "-c", CODE, how], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    tuned, faults = result.stdout.split()
    return tuned, int(faults)


@glibc
def test_a_block_that_was_freed_is_there_for_the_next():
    tuned, faults = measure("tuned")
    assert tuned == "True"
    assert faults < measure("plain")[1] / 5


@glibc
def test_what_the_user_has_set_is_left_alone():
    assert measure("tuned", MALLOC_ARENA_MAX="2")[0] == "False"
