"""Faster kernels for training on a processor.

TensorFlow's own gradients of a convolution are up to four times as slow as the convolution, though each can be
written as one; oneDNN's are not. Keras computes batch normalization from several operations, where TensorFlow has
a fused one. Results differ by rounding only, and saved models are not affected.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import layers

# TensorFlow's fused operation raises a smaller epsilon to this
_MIN_EPSILON = 1.001e-5


@contextmanager
def fast_kernels(trainer: keras.Model) -> Iterator[None]:
    """Let a model train with these kernels inside the block, on a processor; its functions must be traced inside."""
    if tf.config.get_visible_devices("GPU"):
        yield
        return
    replaced: list[tuple[keras.layers.Layer, str]] = []
    for layer in trainer._flatten_layers():
        if _is_plain_normalization(layer):
            layer.call = partial(_normalize, layer)
            replaced.append((layer, "call"))
        elif not has_onednn() and _is_plain_convolution(layer):
            layer.convolution_op = partial(_convolve_strided, layer.strides[0], layer.padding.upper())
            replaced.append((layer, "convolution_op"))
    try:
        yield
    finally:
        for layer, name in replaced:
            delattr(layer, name)


def has_onednn() -> bool:
    """Return whether TensorFlow uses oneDNN; True if it cannot be determined, so that its own gradients are kept."""
    try:
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:
        return True
    return bool(_pywrap_util_port.IsMklEnabled())


def _is_plain_convolution(layer: keras.layers.Layer) -> bool:
    """Return whether the gradients of a layer can be written as convolutions of stride 1."""
    return (
        type(layer) is layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == 1
        and layer.dilation_rate == (1, 1)
        and (layer.strides == (1, 1) or (layer.kernel_size == (1, 1) and layer.strides[0] == layer.strides[1]))
    )


def _convolve_strided(stride: int, padding: str, images: Any, kernel: Any) -> Any:
    if stride > 1:  # of 1×1 kernels, which skip the pixels between
        images = images[:, ::stride, ::stride]
    return _convolution(padding)(images, kernel)


def _convolution(padding: str) -> Any:
    """Return a convolution of stride 1 of images (n, height, width, channels) whose gradients are convolutions too."""

    def convolve(images: Any, kernel: Any) -> Any:
        shape = kernel.shape
        pads = [((size - 1) // 2, size // 2) if padding == "SAME" else (0, 0) for size in shape[:2]]
        gradient_pads = [
            (size - 1 - before, size - 1 - after) for size, (before, after) in zip(shape[:2], pads, strict=True)
        ]

        def gradients(upstream: Any) -> tuple[Any, Any]:
            flipped = tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])
            image_gradient = _pad_and_convolve(upstream, flipped, gradient_pads)
            if shape[:2] == (1, 1):
                pixels, errors = (tf.reshape(tensor, [-1, tensor.shape[-1]]) for tensor in (images, upstream))
                return image_gradient, tf.reshape(tf.matmul(pixels, errors, transpose_a=True), shape)
            # The kernel's gradient sums over images where a convolution sums over channels: exchange the axes
            kernel_gradient = _pad_and_convolve(
                tf.transpose(images, [3, 1, 2, 0]), tf.transpose(upstream, [1, 2, 0, 3]), pads
            )
            return image_gradient, tf.ensure_shape(tf.transpose(kernel_gradient, [1, 2, 0, 3]), shape)

        return _pad_and_convolve(images, kernel, pads), gradients

    return tf.custom_gradient(convolve)


def _pad_and_convolve(images: Any, kernel: Any, pads: list[tuple[int, int]]) -> Any:
    """Return the convolution of images that are padded with zeros, given before and after rows and columns."""
    zeros = [0, 0, *pads[0], *pads[1], 0, 0]
    return tf.raw_ops.Conv2D(
        input=images, filter=kernel, strides=[1, 1, 1, 1], padding="EXPLICIT", explicit_paddings=zeros
    )


def _is_plain_normalization(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is layers.BatchNormalization
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.epsilon >= _MIN_EPSILON
        and not (layer.renorm or layer.synchronized)
    )


def _normalize(
    layer: keras.layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """Compute a layer's output for a training batch and update its moving statistics, as the layer itself would."""
    if not (training and layer.trainable) or mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    values = tf.cast(inputs, tf.float32)
    channels = values.shape[-1]
    gamma = layer.gamma if layer.scale else tf.ones(channels)
    beta = layer.beta if layer.center else tf.zeros(channels)
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(values, gamma, beta, epsilon=layer.epsilon)
    count = tf.cast(tf.size(values) // channels, tf.float32)
    # TensorFlow returns the variance of the sample, Keras uses that of the batch
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance * (count - 1) / count)):
        moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
    return tf.cast(outputs, layer.compute_dtype)
