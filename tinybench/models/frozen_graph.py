"""Freeze a Keras model into a TensorFlow graph whose weights are constants, which other runtimes can read."""

from __future__ import annotations

from typing import Any

import keras


def freeze(model: keras.Model, batch: int | None = None, *, inline: bool = False) -> Any:
    """Return a model as a concrete function of TensorFlow with one input and no variables.

    Args:
        model: Pixels (n, height, width, channels) to anything.
        batch: The fixed batch size; None for any.
        inline: Whether functions that the graph calls are inlined, for readers that know no functions.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = tf.TensorSpec((batch, *model.input_shape[1:]), tf.float32)
    function = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(shape)
    return convert_variables_to_constants_v2(function, lower_control_flow=not inline, aggressive_inlining=inline)
