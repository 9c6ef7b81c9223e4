"""Measure the ranges of a LiteRT model's activations, from which its int8 scales follow.

TensorFlow's own calibrator (2.21) reads the outputs of some operations after the next operation has overwritten them in
place, so that their ranges cover other values as well: of a residual block that of the sum, of scaled pixels that of
the next step of the preprocessing. Scales are then coarser than they need be. Here every tensor is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sample = list[NDArray[np.float32]]


@contextmanager
def measure_exact_ranges() -> Iterator[None]:
    """Let TensorFlow's converter use the ranges of `add_ranges` within the block."""
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    def calibrate(calibrator: Any, generate: Callable[[], Iterable[Sample]]) -> bytes:
        return add_ranges(bytes(calibrator._model_content), generate())

    original = Calibrator.calibrate
    Calibrator.calibrate = calibrate
    try:
        yield
    finally:
        Calibrator.calibrate = original


def add_ranges(model: bytes, samples: Iterable[Sample]) -> bytes:
    """Return a `.tflite` model in float32 with the smallest and largest value of each activation over some inputs."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    ranges = _measure_ranges(model, samples)
    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for index, tensor in enumerate(content.subgraphs[0].tensors):
        constant = content.buffers[tensor.buffer].data
        if index in ranges and (constant is None or len(constant) == 0):
            tensor.quantization = schema.QuantizationParametersT()
            low, high = ranges[index]
            tensor.quantization.min, tensor.quantization.max = [low], [high]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _measure_ranges(model: bytes, samples: Iterable[Sample]) -> dict[int, tuple[float, float]]:
    """Return the smallest and largest value of each float32 tensor by its index."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        model_content=model,
        num_threads=os.cpu_count(),
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    (source,) = interpreter.get_input_details()
    ranges: dict[int, tuple[float, float]] = {}
    for number, (sample,) in enumerate(samples):
        if number == 0:
            interpreter.resize_tensor_input(source["index"], sample.shape)
            interpreter.allocate_tensors()
            indices = [tensor["index"] for tensor in interpreter.get_tensor_details() if tensor["dtype"] == np.float32]
        interpreter.set_tensor(source["index"], sample)
        interpreter.invoke()
        for index in indices:
            values = _read_values(interpreter, index)
            if values.size:
                low, high = ranges.get(index, (np.inf, -np.inf))
                ranges[index] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


def _read_values(interpreter: Any, index: int) -> NDArray[np.float32]:
    """Return the values of a tensor; none of one that no operation has computed."""
    try:
        return np.asarray(interpreter.get_tensor(index))
    except ValueError:
        return np.empty(0, np.float32)
