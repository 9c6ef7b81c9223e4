"""NVML by the real ctypes path: against a stand-in of its library that is compiled here, and against a real GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tinybench.core.errors import DeviceError
from tinybench.hardware import nvml

MIB = 2**20
UUID = "10f35015-e921-bfab-2eb8-4e9b6664d5f1"
SOURCE = Path(__file__).with_name("nvml_stand_in.c")

_START = """
import json, os, sys, time
from pathlib import Path
from tinybench.core.errors import DeviceError
from tinybench.efficiency import training_cost
from tinybench.hardware import certificate, nvml
memory = Path(os.environ["STAND_IN_MEMORY"])
def tell(**found): print("found " + json.dumps(found))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a stand-in of NVML with")
    folder = tmp_path_factory.mktemp("nvml")
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-int-to-pointer-cast"]
    subprocess.run([compiler, *flags, "-o", folder / "libnvidia-ml.so.1", SOURCE], check=True)
    return folder


def said(library: Path, tmp_path: Path, code: str, **environment: str) -> dict[str, Any]:
    """What a fresh process, which finds the library before any other, tells."""
    given = {"LD_LIBRARY_PATH": str(library), "STAND_IN_MEMORY": str(tmp_path / "memory")}
    given |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(nvml.__file__).parents[2])} | environment
    words = [sys.executable, "-c", _START + code]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("found ")]
    return json.loads(line.removeprefix("found "))


def test_a_gpu_is_described(library: Path, tmp_path: Path) -> None:
    code = """
gpu = nvml.find_gpu()
tell(uuid=gpu.uuid, name=gpu.name, driver=nvml.driver_version(), state=gpu.state(), free=gpu.free())
"""
    found = said(library, tmp_path, code)
    assert (found["uuid"], found["name"], found["driver"]) == (f"GPU-{UUID}", "NVIDIA H200", "570.124.06")
    assert found["free"] == (143771 - 1) * MIB
    idle = {"clock_sm_mhz": 345, "clock_sm_most_mhz": 1980, "clock_memory_mhz": 3201, "celsius": 23, "watts": 76.0}
    assert found["state"] == idle | {"held_down_by": ["idle"]}


def test_why_it_is_held_down_is_told(library: Path, tmp_path: Path) -> None:
    found = said(library, tmp_path, "memory.write_text('5'); tell(state=nvml.find_gpu().state())")
    assert found["state"]["held_down_by"] == ["power cap"]
    assert found["state"]["clock_sm_mhz"] == 1980


@pytest.mark.parametrize(("kind", "scope", "used"), [("", "process", 700 * MIB), ("hidden", "device", (700 + 1) * MIB)])
def test_memory_is_that_of_the_process_where_the_driver_knows_it(
    library: Path, tmp_path: Path, kind: str, scope: str, used: int
) -> None:
    code = (
        f"memory.write_text('{700 * MIB}'); found = nvml.find_gpu().memory(); "
        "tell(used=found.used_bytes, scope=found.scope)"
    )
    assert said(library, tmp_path, code, STAND_IN=kind) == {"used": used, "scope": scope}


def test_a_part_of_a_gpu_is_found_by_its_uuid_and_has_the_whole_one_s_power(library: Path, tmp_path: Path) -> None:
    code = (
        "gpu = nvml.find_gpu(); "
        "tell(uuid=gpu.uuid, name=gpu.name, watts=gpu.watts(), clock=gpu.state()['clock_sm_mhz'])"
    )
    found = said(library, tmp_path, code, STAND_IN="mig", CUDA_VISIBLE_DEVICES=f"MIG-{UUID}")
    assert found == {"uuid": f"MIG-{UUID}", "name": "NVIDIA H200 MIG 1g.18gb", "watts": 76.0, "clock": 345}


@pytest.mark.parametrize(
    ("visible", "index", "message"),
    [("GPU-0", 0, "NVML knows no GPU GPU-0"), ("0", 1, "shows 1 GPUs, and GPU 1"), ("", 3, "NVML: Invalid Argument")],
)
def test_a_gpu_that_is_not_there_is_named(
    library: Path, tmp_path: Path, visible: str, index: int, message: str
) -> None:
    code = f"try: nvml.find_gpu({index})\nexcept DeviceError as error: tell(message=str(error))"
    code = code.replace("try: ", "try:\n    ").replace("error: tell", "error:\n    tell")
    assert message in said(library, tmp_path, code, CUDA_VISIBLE_DEVICES=visible)["message"]


_SAMPLED = """
with nvml.GpuSampler(nvml.find_gpu(), interval=0.01) as sampler:
    for mib in (0, 500, 900, 200):
        memory.write_text(str(mib * 2**20)); time.sleep(0.1)
tell(figures=sampler.metrics(), samples=sampler.samples, scope=sampler.peak.scope)
"""


@pytest.mark.parametrize(("kind", "scope"), [("", "process"), ("hidden", "device")])
def test_a_peak_between_start_and_end_is_seen(library: Path, tmp_path: Path, kind: str, scope: str) -> None:
    found = said(library, tmp_path, _SAMPLED, STAND_IN=kind)
    assert found["figures"]["memory_bytes"] == 900 * MIB
    assert found["figures"]["interval_seconds"] == 0.01
    assert found["scope"] == scope
    assert found["samples"] > 10
    assert found["figures"]["joules"] == pytest.approx(434 * 0.4, rel=0.5)


def test_without_a_counter_energy_comes_from_power(library: Path, tmp_path: Path) -> None:
    figures = said(library, tmp_path, _SAMPLED, STAND_IN="counterless")["figures"]
    assert 76 * 0.3 < figures["joules"] < 434 * 0.8


def test_what_a_gpu_does_not_tell_is_left_out(library: Path, tmp_path: Path) -> None:
    assert "joules" not in said(library, tmp_path, _SAMPLED, STAND_IN="silent")["figures"]


def test_training_on_a_gpu_is_watched(library: Path, tmp_path: Path) -> None:
    code = """
with training_cost.monitor_gpu("gpu:0 (one of 2; a run uses one)") as usage:
    memory.write_text(str(300 * 2**20)); time.sleep(0.3)
tell(figures=usage.metrics(), tags=usage.tags())
"""
    found = said(library, tmp_path, code)
    assert found["figures"]["efficiency/training_gpu_memory_bytes"] == 300 * MIB
    assert found["figures"]["efficiency/training_nvml_interval_ms"] == 100
    assert found["figures"]["efficiency/training_joules"] > 0
    assert found["tags"] == {"efficiency.gpu": "memory of the process, by NVML"}


def test_a_certificate_names_the_gpu(library: Path, tmp_path: Path) -> None:
    code = """
gpu, reason = certificate.find_gpu(0)
machine = certificate.describe_machine(gpu)
others = {"other": {"gpu": "NVIDIA H100"}, "twin": {"gpu_uuid": "x"}, "identity": {}}
identities = {name: certificate.machine_id(machine | changed) for name, changed in others.items()}
tell(machine=machine, moment=certificate.describe_load(gpu), reason=reason, **identities)
"""
    found = said(library, tmp_path, code)
    assert found["machine"]["gpu"] == "NVIDIA H200"
    assert found["machine"]["gpu_driver"] == "570.124.06"
    assert found["moment"]["gpu"]["watts"] == 76
    assert found["reason"] == ""
    assert found["identity"] == found["twin"] != found["other"]


def test_without_a_library_it_is_said_why(tmp_path: Path) -> None:
    code = """
try:
    nvml.find_gpu()
    tell(message="this machine has a GPU")
except DeviceError as error:
    tell(message=str(error))
"""
    message = said(tmp_path, tmp_path, code)["message"]
    if message == "this machine has a GPU":
        pytest.skip(message)
    assert message.startswith("NVML: ")


def test_a_real_gpu_says_what_it_is() -> None:
    try:
        gpu = nvml.find_gpu()
    except DeviceError as error:
        pytest.skip(f"no GPU: {error}")
    assert gpu.uuid.startswith(("GPU-", "MIG-"))
    assert gpu.memory().used_bytes >= 0
    with nvml.GpuSampler(gpu, interval=0.02) as sampler:
        pass
    assert sampler.metrics()["memory_bytes"] >= 0
