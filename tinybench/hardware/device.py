"""Which device a run uses, and how repeatable it is."""

from __future__ import annotations

import os
import re

import keras
import psutil
import tensorflow as tf

from tinybench.core.errors import ConfigError, DeviceError
from tinybench.hardware import nvml

SHARE = "TINYBENCH_SHARE"  # variable: among how many processes the memory is divided

# Of what is free, the rest being for the model and its gradients
_SHARE = 0.3


def start() -> None:
    """Make TensorFlow look for devices now, so that what it prints while it looks can be dealt with."""
    tf.config.list_physical_devices()


def use(device: str) -> str:
    """Choose the one device that TensorFlow sees, with memory growth on a GPU.

    Args:
        device: `auto` (the first GPU, else the processor), `cpu` or `gpu:N`.

    Returns:
        What is used, in words for people; it says so when more GPUs are left idle.

    Raises:
        ConfigError: there is no such device, or TensorFlow has already started with another.
    """
    gpus = tf.config.list_physical_devices("GPU")
    index = _index(device, len(gpus))
    wanted = [] if index is None else [gpus[index]]
    if tf.config.get_visible_devices("GPU") != wanted:
        _restrict(wanted, device)
    if index is None:
        return "cpu"
    if not tf.config.experimental.get_memory_growth(gpus[index]):
        tf.config.experimental.set_memory_growth(gpus[index], True)
    return f"gpu:{index}" + (f" (one of {len(gpus)}; a run uses one)" if len(gpus) > 1 else "")


def repeatable(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and Keras, and keep to operations that repeat to the bit when asked."""
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def room() -> int:
    """Bytes that data may take on the device that is used: a part of what is free."""
    share = _SHARE / int(os.environ.get(SHARE, "1"))
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return int(share * psutil.virtual_memory().available)
    free = _free_on_gpu(tf.config.list_physical_devices("GPU").index(gpus[0]))
    return int(share * free)


def _free_on_gpu(index: int) -> int:
    """Bytes by NVML, by the number that TensorFlow gives the GPU; 0 where NVML does not answer."""
    try:
        return nvml.find(index).free()
    except DeviceError:
        return 0


def _index(device: str, count: int) -> int | None:
    if device == "cpu" or (device == "auto" and not count):
        return None
    match = re.fullmatch(r"auto|gpu(?::(\d+))?", device)
    if not match:
        raise ConfigError(f"Invalid value for `device`: expected auto, cpu or gpu:N, got {device!r}.")
    index = int(match[1] or 0)
    if index >= count:
        raise ConfigError(f"`device` is {device}, but TensorFlow finds {count} GPUs: set device to auto or cpu.")
    return index


def _restrict(wanted: list[object], device: str) -> None:
    try:
        tf.config.set_visible_devices(wanted, "GPU")
    except RuntimeError as error:
        raise ConfigError(
            f"TensorFlow has already started on another device than {device}: choose it in a fresh process."
        ) from error
