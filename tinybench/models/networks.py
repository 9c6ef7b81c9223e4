"""Build the backbones of the small networks, which need no download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from tinybench.config.network_size import NetworkSize
from tinybench.core.errors import ModelError
from tinybench.models.layers import Convolution, LocalResponseNormalization
from tinybench.models.weights import load as load_weights
from tinybench.models.weights import no_imagenet_weights


def _build_plain_cnn(x: Any, size: NetworkSize) -> Any:
    """Stack stages of 3×3 convolutions and a pooling, without batch normalization.

    A frozen backbone runs in inference mode, where statistics that were never learned would be meaningless.
    """
    for stage, filters in enumerate(size.filters, 1):
        for block in range(1, (size.blocks or 1) + 1):
            x = _convolution(x, filters, f"block{stage}_conv{block}")
        x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return x


def _build_simple_cnn(x: Any, size: NetworkSize) -> Any:
    """Stack stages of an unpadded 3×3 convolution and a pooling."""
    for stage, filters in enumerate(size.filters, 1):
        x = _convolution(x, filters, f"block{stage}_conv", padding="valid")
        x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return x


def _build_normalised_cnn(x: Any, size: NetworkSize) -> Any:
    """Stack stages of padded 3×3 convolutions with batch normalization, pooling and dropout."""
    for stage, filters in enumerate(size.filters, 1):
        for block in range(1, (size.blocks or 1) + 1):
            x = _normalised_convolution(x, filters, f"block{stage}_conv{block}", size.l2)
        x = _pool(x, size, stage)
    return x


def _build_vgg(x: Any, size: NetworkSize) -> Any:
    """Stack stages of a padded and an unpadded 3×3 convolution with batch normalization, pooling and dropout."""
    for stage, filters in enumerate(size.filters, 1):
        for block, padding in enumerate(("same", "valid"), 1):
            x = _normalised_convolution(x, filters, f"block{stage}_conv{block}", size.l2, padding=padding)
        x = _pool(x, size, stage)
    return x


def _build_resnet(x: Any, size: NetworkSize) -> Any:
    """Build the residual network for CIFAR of He et al., 2015, with 1×1 projections where the size changes."""
    x = _normalised_convolution(x, size.filters[0], "conv0", size.l2)
    for stage, filters in enumerate(size.filters, 1):
        for block in range(1, (size.blocks or 1) + 1):
            x = _residual_block(
                x, filters, f"block{stage}_{block}", size.l2, strides=2 if stage > 1 and block == 1 else 1
            )
    return x


def _residual_block(x: Any, filters: int, name: str, l2: float | None, *, strides: int) -> Any:
    """Add two normalised convolutions to their input, which is projected where its shape differs."""
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, f"{name}_projection", l2, kernel=1, strides=strides, activation=None)
    residual = _normalised_convolution(x, filters, f"{name}_conv1", l2, strides=strides)
    residual = _normalised_convolution(residual, filters, f"{name}_conv2", l2, activation=None)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([residual, shortcut]))


def _build_alexnet(x: Any, size: NetworkSize) -> Any:
    """Build a small AlexNet: two stages with local response normalization, further convolutions and a pooling."""
    for stage, filters in enumerate(size.filters, 1):
        x = _convolution(x, filters, f"block{stage}_conv")
        if stage <= 2:
            x = LocalResponseNormalization(name=f"block{stage}_norm")(x)
        if stage <= 2 or stage == len(size.filters):
            x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return x


def _build_shallow(x: Any, size: NetworkSize) -> Any:
    """Stack convolutions that are written in low-level Keras; the published network has one."""
    for stage, filters in enumerate(size.filters, 1):
        x = Convolution(filters, name=f"block{stage}_conv")(x)
    return x


def _convolution(
    x: Any,
    filters: int,
    name: str,
    l2: float | None = None,
    *,
    kernel: int = 3,
    padding: str = "same",
    strides: int = 1,
    activation: str | None = "relu",
) -> Any:
    return layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding=padding,
        activation=activation,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
        name=name,
    )(x)


def _normalised_convolution(
    x: Any,
    filters: int,
    name: str,
    l2: float | None,
    *,
    padding: str = "same",
    strides: int = 1,
    activation: str | None = "relu",
) -> Any:
    """Apply a convolution, batch normalization and the activation."""
    x = _convolution(x, filters, name, l2, padding=padding, strides=strides, activation=None)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def _pool(x: Any, size: NetworkSize, stage: int) -> Any:
    """Apply a pooling, and dropout where the network has it."""
    x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return layers.Dropout(size.dropout, name=f"block{stage}_dropout")(x) if size.dropout else x


# Functions from symbolic pixels in 0..1 to features, by the name of the network
_BUILDERS: dict[str, Callable[[Any, NetworkSize], Any]] = {
    "smallcnn": _build_plain_cnn,
    "shallow": _build_shallow,
    "simple5": _build_simple_cnn,
    "vgg10": _build_vgg,
    "resnet20": _build_resnet,
    "alexnet-mini": _build_alexnet,
    "cnn3": _build_normalised_cnn,
    "conv6": _build_normalised_cnn,
    "deep": _build_normalised_cnn,
}


def build(name: str, size: NetworkSize, side: int, channels: int, weights: str) -> keras.Model:
    """Build the backbone of a small network, from (n, side, side, channels) pixels in 0..255 to a feature map.

    Args:
        name: The name of the network.
        size: The number of stages, filters and so on.
        side: Height and width of the images in pixels.
        channels: Channels of the images.
        weights: `none`, or the path of a weights file.

    Raises:
        ModelError: The images are too small for the network.
        WeightsError: ImageNet weights are asked for, which no small network has, or the file does not fit.
    """
    if weights == "imagenet":
        raise no_imagenet_weights(name)
    pixels = keras.Input((side, side, channels), name="pixels")
    try:
        model = keras.Model(pixels, _BUILDERS[name](layers.Rescaling(1 / 255)(pixels), size), name="backbone")
    except ValueError as error:
        if "negative" not in str(error).lower():  # Keras's words for a size that would be below 1
            raise
        raise ModelError(
            f"{name} cannot be built at image_size={side}: its {len(size.filters)} stages leave no pixel. "
            "Give fewer `network.filters`, or a larger `image_size`."
        ) from error
    if weights != "none":
        load_weights(model, Path(weights))
    return model
