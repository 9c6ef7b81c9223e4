"""Count the floating-point operations of a model from its graph, by TensorFlow's profiler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

# Each multiplication in these goes with an addition
_MULTIPLY_ACCUMULATE = {"Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "Conv3D", "Einsum"}


@dataclass(frozen=True)
class Flops:
    """The operations of one forward pass of one image.

    Attributes:
        total: Floating-point operations; a multiply-accumulate counts as two.
        macs: Multiply-accumulates in convolutions and matrix products.
    """

    total: int
    macs: int


def count_flops(model: keras.Model) -> Flops | None:
    """Count the operations of a model at its own input size; return None unless Keras computes by TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf
    from tensorflow.python.profiler import model_analyzer, option_builder

    shape = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    graph = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(shape).graph
    operations = option_builder.ProfileOptionBuilder.float_operation()
    options = option_builder.ProfileOptionBuilder(operations).with_empty_output().build()
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)  # without the warning that the profiler's interface is deprecated
    try:
        nodes = [*_nodes(model_analyzer.profile(graph, cmd="op", options=options))]
    finally:
        logger.setLevel(level)
    total = sum(node.float_ops for node in nodes)
    macs = sum(node.float_ops for node in nodes if node.name in _MULTIPLY_ACCUMULATE) // 2
    return Flops(total, macs)


def _nodes(node: Any) -> Iterator[Any]:
    """Yield a node of the profile, which is one kind of operation, and all nodes below it."""
    yield node
    for child in node.children:
        yield from _nodes(child)
