"""Which device is used, and that a seed repeats."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tinybench.core.errors import ConfigError
from tinybench.hardware import device

no_gpu = pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="CUDA_VISIBLE_DEVICES shows a GPU")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """TensorFlow on a machine with two GPUs; what is asked of it."""
    asked: dict[str, list] = {"visible": ["first", "second"], "growth": []}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["first", "second"])
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: asked["visible"])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda gpus, kind: asked.update(visible=gpus))
    monkeypatch.setattr(tf.config.experimental, "get_memory_growth", lambda gpu: gpu in asked["growth"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: asked["growth"].append(gpu))
    return asked


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(keras.random.uniform(()))


@no_gpu
@pytest.mark.parametrize("asked", ["auto", "cpu"])
def test_without_a_gpu_the_processor_is_used(asked):
    assert device.select_device(asked) == "cpu"


@no_gpu
@pytest.mark.parametrize("asked", ["gpu", "gpu:0", "gpu:3"])
def test_a_gpu_that_is_not_there(asked):
    message = rf"^`device` is {asked}, but TensorFlow finds 0 GPUs: set device to auto or cpu\.$"
    with pytest.raises(ConfigError, match=message):
        device.select_device(asked)


@pytest.mark.parametrize("asked", ["", "GPU", "gpu:", "gpu:-1", "gpu:0,1", "cpu:0", "tpu", "auto:0"])
def test_what_is_no_device(asked):
    with pytest.raises(ConfigError, match=r"Invalid value for `device`: expected auto, cpu or gpu:N, got "):
        device.select_device(asked)


@pytest.mark.parametrize(
    ("asked", "name"), [("auto", "gpu:0"), ("gpu", "gpu:0"), ("gpu:0", "gpu:0"), ("gpu:1", "gpu:1")]
)
def test_one_gpu_is_seen_with_memory_growth_and_the_other_is_told_of(two_gpus, asked, name):
    wanted = two_gpus["visible"][int(name[-1])]
    assert device.select_device(asked) == f"{name} (one of 2; a run uses one)"
    assert two_gpus == {"visible": [wanted], "growth": [wanted]}


def test_the_processor_is_used_when_asked_for_though_there_are_gpus(two_gpus):
    assert device.select_device("cpu") == "cpu"
    assert two_gpus == {"visible": [], "growth": []}


def test_the_same_device_again_changes_nothing(two_gpus, monkeypatch):
    device.select_device("gpu:1")
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *_: pytest.fail("TensorFlow has started"))
    assert device.select_device("gpu:1").startswith("gpu:1")
    assert two_gpus["growth"] == ["second"], "it cannot be set once TensorFlow has started"


def test_another_device_once_tensorflow_has_started(two_gpus, monkeypatch):
    def started(*_: object) -> None:
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", started)
    with pytest.raises(ConfigError, match=r"already started on another device than cpu: choose it in a new process"):
        device.select_device("cpu")


@given(index=st.integers(0, 20), count=st.integers(0, 20))
def test_a_gpu_is_taken_exactly_where_there_is_one_of_that_number(index, count):
    if index < count:
        assert device._parse_gpu_index(f"gpu:{index}", count) == index
    else:
        with pytest.raises(ConfigError, match=f"finds {count} GPUs"):
            device._parse_gpu_index(f"gpu:{index}", count)


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_seed_repeats_and_another_does_not(deterministic):
    values = []
    for seed in (3, 3, 4):
        device.make_repeatable(seed, deterministic)
        values.append(drawn())
    assert values[0] == values[1]
    assert all(one != other for one, other in zip(values[1], values[2], strict=True))


def test_only_operations_that_repeat_when_asked(monkeypatch):
    asked = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(True))
    device.make_repeatable(0, False)
    assert asked == []
    device.make_repeatable(0, True)
    assert asked == [True]


@pytest.mark.parametrize(("settings", "expected"), [([], "none"), (["--deterministic", "false"], "1")])
def test_faster_kernels_are_asked_for_before_tensorflow_loads(settings: list[str], expected: str) -> None:
    code = """
import os, sys
from tinybench.cli import root, train_commands
def stop():
    print(os.environ.get("TF_ENABLE_ONEDNN_OPTS", "none"), "tensorflow" in sys.modules)
    sys.exit(0)
train_commands.load_libraries = stop
root.cli(["train", "--recipe", "quickstart", *sys.argv[1:]])
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    done = subprocess.run([sys.executable, "-c", code, *settings], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == [expected, "False"], done.stderr
