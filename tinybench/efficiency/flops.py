"""How much a model computes for one image, counted from its graph by TensorFlow's profiler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

# A multiplication and an addition each
_MULTIPLY_ACCUMULATE = {"Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2", "Conv3D", "Einsum"}


@dataclass(frozen=True)
class Flops:
    """Of one forward pass of one image.

    Attributes:
        total: Floating-point operations; a multiply-accumulate is two.
        macs: Multiply-accumulates, of convolutions and matrix products.
    """

    total: int
    macs: int


def count(model: keras.Model) -> Flops | None:
    """Count them at the model's own input size; None where Keras does not compute by TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf
    from tensorflow.python.profiler import model_analyzer, option_builder

    shape = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    graph = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(shape).graph
    wanted = option_builder.ProfileOptionBuilder.float_operation()
    options = option_builder.ProfileOptionBuilder(wanted).with_empty_output().build()
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(logging.ERROR)  # that it is an interface of old is known
    try:
        kinds = [*_nodes(model_analyzer.profile(graph, cmd="op", options=options))]
    finally:
        logger.setLevel(before)
    total = sum(node.float_ops for node in kinds)
    macs = sum(node.float_ops for node in kinds if node.name in _MULTIPLY_ACCUMULATE) // 2
    return Flops(total, macs)


def _nodes(node: Any) -> Iterator[Any]:
    """Kinds of operations, each with those below it."""
    yield node
    for child in node.children:
        yield from _nodes(child)
