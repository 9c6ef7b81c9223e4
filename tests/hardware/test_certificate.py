"""A certificate tells machines apart."""

from __future__ import annotations

import json

import psutil
import pytest

from tinybench.hardware import certificate


def test_it_says_what_machine_it_is() -> None:
    found = certificate.describe_machine()
    assert found["cpu"]
    assert found["cpu_threads"] == psutil.cpu_count()
    assert 1 <= found["cpu_usable"] <= found["cpu_threads"]
    assert {"keras", "tensorflow", "numpy"} <= set(found["libraries"])
    assert "gpu" not in found
    json.dumps(found)


@pytest.mark.parametrize("changed", [{"cpu": "another"}, {"cpu_usable": 99}, {"libraries": {}}, {"threads": 7}])
def test_another_machine_has_another_identity(changed: dict[str, object]) -> None:
    machine = certificate.describe_machine()
    assert certificate.machine_id(machine) == certificate.machine_id(certificate.describe_machine())
    assert certificate.machine_id(machine | changed) != certificate.machine_id(machine)


def test_the_moment_has_load_and_clock() -> None:
    found = certificate.describe_load()
    assert len(found["load_average"]) == 3
    assert "gpu" not in found


def test_on_the_processor_no_gpu_is_looked_for() -> None:
    assert certificate.find_gpu(None) == (None, "the processor was used")
