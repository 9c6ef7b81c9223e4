"""Select the device of a run, and make the run repeatable."""

from __future__ import annotations

import os
import re

import keras
import psutil
import tensorflow as tf

from tinybench.core.errors import ConfigError, DeviceError
from tinybench.hardware import nvml
from tinybench.hardware.child_process import SHARE_VARIABLE

# Share of the free memory for data; the rest is for the model and its gradients
_DATA_SHARE = 0.3


def detect_devices() -> None:
    """Make TensorFlow look for devices now, so that the caller can filter what it prints."""
    tf.config.list_physical_devices()


def select_device(device: str) -> str:
    """Select the one device that TensorFlow sees, with memory growth on a GPU.

    Args:
        device: `auto` (the first GPU, else the processor), `cpu` or `gpu:N`.

    Returns:
        `cpu` or `gpu:N`, with a note if other GPUs are idle.

    Raises:
        ConfigError: There is no such device, or TensorFlow has already started with another.
    """
    gpus = tf.config.list_physical_devices("GPU")
    index = _parse_gpu_index(device, len(gpus))
    selected = [] if index is None else [gpus[index]]
    if tf.config.get_visible_devices("GPU") != selected:
        _set_visible(selected, device)
    if index is None:
        return "cpu"
    if not tf.config.experimental.get_memory_growth(gpus[index]):
        tf.config.experimental.set_memory_growth(gpus[index], True)
    return f"gpu:{index}" + (f" (one of {len(gpus)}; a run uses one)" if len(gpus) > 1 else "")


def make_repeatable(seed: int, deterministic: bool) -> None:
    """Seed Python, NumPy and Keras; if `deterministic`, use only operations that repeat to the bit."""
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def data_budget() -> int:
    """Return how many bytes of data may be put on the selected device: a share of the free memory."""
    share = _DATA_SHARE / int(os.environ.get(SHARE_VARIABLE, "1"))
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return int(share * psutil.virtual_memory().available)
    free = _free_gpu_bytes(tf.config.list_physical_devices("GPU").index(gpus[0]))
    return int(share * free)


def _free_gpu_bytes(index: int) -> int:
    """Return the free bytes of a GPU by its number in TensorFlow; 0 if NVML does not know it."""
    try:
        return nvml.find_gpu(index).free()
    except DeviceError:
        return 0


def _parse_gpu_index(device: str, count: int) -> int | None:
    if device == "cpu" or (device == "auto" and not count):
        return None
    match = re.fullmatch(r"auto|gpu(?::(\d+))?", device)
    if not match:
        raise ConfigError(f"Invalid value for `device`: expected auto, cpu or gpu:N, got {device!r}.")
    index = int(match[1] or 0)
    if index >= count:
        raise ConfigError(f"`device` is {device}, but TensorFlow finds {count} GPUs: set device to auto or cpu.")
    return index


def _set_visible(gpus: list[object], device: str) -> None:
    try:
        tf.config.set_visible_devices(gpus, "GPU")
    except RuntimeError as error:
        raise ConfigError(
            f"TensorFlow has already started on another device than {device}: choose it in a new process."
        ) from error
