"""The peak is the peak, and can be forgotten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tinybench.hardware import process_memory

_PASSED = """
import numpy as np
from tinybench.hardware import process_memory as memory
if not memory.reset_peak():
    raise SystemExit(77)
before = memory.resident_bytes()
taken = np.ones(200 * 2**20, np.uint8)
assert memory.resident_bytes() - before > 150 * 2**20
del taken
assert memory.peak_bytes() - before > 150 * 2**20
memory.reset_peak()
assert memory.peak_bytes() - before < 150 * 2**20
"""


def test_a_peak_that_has_passed_is_known_until_it_is_forgotten() -> None:
    """In a process of its own: of a large one the system may take memory away meanwhile."""
    done = subprocess.run([sys.executable, "-c", _PASSED], capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("this system cannot reset the peak")
    assert done.returncode == 0, done.stderr


def test_without_proc_the_peak_since_the_start_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    known = process_memory.peak_bytes()
    for name in ("_RESET", "_STATUS"):
        monkeypatch.setattr(process_memory, name, Path("/nowhere/at/all"))
    assert not process_memory.reset_peak()
    assert process_memory.peak_bytes() >= 0.9 * known


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_memory, "_GROUP", tmp_path)
    free = process_memory.available_bytes()
    assert free > 0
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert process_memory.available_bytes() == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert process_memory.available_bytes() > 600


def test_it_needs_no_framework() -> None:
    code = (
        "import sys; from tinybench.efficiency import timing; from tinybench.hardware import process_memory; "
        "raise SystemExit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
