"""Training operations of a processor, computed by faster kernels than those that Keras comes to.

TensorFlow's own gradients of a convolution are up to four times as slow as its convolution, though each can be
written as one; oneDNN's are not. Keras computes batch normalization from single operations, where TensorFlow has
one for the whole. The results are the same but for rounding, and what is saved knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import layers

# TensorFlow's operation puts a smaller one up to this
_LEAST_EPSILON = 1.001e-5


@contextmanager
def quick(trainer: keras.Model) -> Iterator[None]:
    """Let a model train by these kernels meanwhile, on a processor; what it computes with must be traced inside."""
    if tf.config.get_visible_devices("GPU"):
        yield
        return
    changed: list[tuple[keras.layers.Layer, str]] = []
    for layer in trainer._flatten_layers():
        if _is_plain_normalization(layer):
            layer.call = partial(_normalize, layer)
            changed.append((layer, "call"))
        elif not has_onednn() and _is_plain_convolution(layer):
            layer.convolution_op = partial(_convolve, layer.strides[0], layer.padding.upper())
            changed.append((layer, "convolution_op"))
    try:
        yield
    finally:
        for layer, name in changed:
            delattr(layer, name)


def has_onednn() -> bool:
    """Whether TensorFlow computes by oneDNN; where it no longer tells, its own gradients are left."""
    try:
        from tensorflow.python.util import _pywrap_util_port
    except ImportError:
        return True
    return bool(_pywrap_util_port.IsMklEnabled())


def _is_plain_convolution(layer: keras.layers.Layer) -> bool:
    """Whether its gradients are convolutions with the stride 1."""
    return (
        type(layer) is layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.groups == 1
        and layer.dilation_rate == (1, 1)
        and (layer.strides == (1, 1) or (layer.kernel_size == (1, 1) and layer.strides[0] == layer.strides[1]))
    )


def _convolve(stride: int, padding: str, images: Any, kernel: Any) -> Any:
    if stride > 1:  # of 1×1 kernels: the pixels between are not looked at
        images = images[:, ::stride, ::stride]
    return _convolution(padding)(images, kernel)


def _convolution(padding: str) -> Any:
    """A convolution of images (n, height, width, channels) with the stride 1, whose gradients are such too."""

    def convolved(images: Any, kernel: Any) -> Any:
        shape = kernel.shape
        around = [((size - 1) // 2, size // 2) if padding == "SAME" else (0, 0) for size in shape[:2]]
        beyond = [(size - 1 - first, size - 1 - last) for size, (first, last) in zip(shape[:2], around, strict=True)]

        def gradients(above: Any) -> tuple[Any, Any]:
            of_images = _padded(above, tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2]), beyond)
            if shape[:2] == (1, 1):
                pixels, upper = (tf.reshape(each, [-1, each.shape[-1]]) for each in (images, above))
                return of_images, tf.reshape(tf.matmul(pixels, upper, transpose_a=True), shape)
            # Sums over images, where a convolution sums over channels: let them change places
            of_kernel = _padded(tf.transpose(images, [3, 1, 2, 0]), tf.transpose(above, [1, 2, 0, 3]), around)
            return of_images, tf.ensure_shape(tf.transpose(of_kernel, [1, 2, 0, 3]), shape)

        return _padded(images, kernel, around), gradients

    return tf.custom_gradient(convolved)


def _padded(images: Any, kernel: Any, around: list[tuple[int, int]]) -> Any:
    """The convolution of images with zeros around their rows and columns."""
    zeros = [0, 0, *around[0], *around[1], 0, 0]
    return tf.raw_ops.Conv2D(
        input=images, filter=kernel, strides=[1, 1, 1, 1], padding="EXPLICIT", explicit_paddings=zeros
    )


def _is_plain_normalization(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is layers.BatchNormalization
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.epsilon >= _LEAST_EPSILON
        and not (layer.renorm or layer.synchronized)
    )


def _normalize(
    layer: keras.layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None
) -> Any:
    """What the layer computes of a training batch, and the same change of its moving statistics."""
    if not (training and layer.trainable) or mask is not None:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    values = tf.cast(inputs, tf.float32)
    channels = values.shape[-1]
    gamma = layer.gamma if layer.scale else tf.ones(channels)
    beta = layer.beta if layer.center else tf.zeros(channels)
    found, mean, variance = tf.compat.v1.nn.fused_batch_norm(values, gamma, beta, epsilon=layer.epsilon)
    count = tf.cast(tf.size(values) // channels, tf.float32)
    # TensorFlow's is that of a sample, Keras's that of the batch
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance * (count - 1) / count)):
        moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
    return tf.cast(found, layer.compute_dtype)
