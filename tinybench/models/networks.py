"""The small networks that need no download: what stands below the head of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from tinybench.config.network_size import Size
from tinybench.core.errors import ModelError
from tinybench.models import weights as weight_files
from tinybench.models.layers import Convolution, LocalResponseNormalization


def _plain(x: Any, size: Size) -> Any:
    """Stages of 3×3 convolutions and a pooling; no batch normalization.

    Frozen, it runs in inference mode, where statistics that were never learned would mean nothing.
    """
    for stage, filters in enumerate(size.filters, 1):
        for block in range(1, (size.blocks or 1) + 1):
            x = _convolution(x, filters, f"block{stage}_conv{block}")
        x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return x


def _simple(x: Any, size: Size) -> Any:
    """Conv-Pool-Conv-Pool, without padding."""
    for stage, filters in enumerate(size.filters, 1):
        x = _convolution(x, filters, f"block{stage}_conv", padding="valid")
        x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return x


def _normalized(x: Any, size: Size) -> Any:
    """Stages of padded 3×3 convolutions with batch normalization, pooling and dropout."""
    for stage, filters in enumerate(size.filters, 1):
        for block in range(1, (size.blocks or 1) + 1):
            x = _normalized_convolution(x, filters, f"block{stage}_conv{block}", size.l2)
        x = _pooled(x, size, stage)
    return x


def _vgg(x: Any, size: Size) -> Any:
    """Stages of a padded and an unpadded 3×3 convolution with batch normalization, pooling and dropout."""
    for stage, filters in enumerate(size.filters, 1):
        for block, padding in enumerate(("same", "valid"), 1):
            x = _normalized_convolution(x, filters, f"block{stage}_conv{block}", size.l2, padding=padding)
        x = _pooled(x, size, stage)
    return x


def _resnet(x: Any, size: Size) -> Any:
    """The residual network for CIFAR of He et al., 2015, with 1×1 projections where the size changes."""
    x = _normalized_convolution(x, size.filters[0], "conv0", size.l2)
    for stage, filters in enumerate(size.filters, 1):
        for block in range(1, (size.blocks or 1) + 1):
            x = _residual(x, filters, f"block{stage}_{block}", size.l2, strides=2 if stage > 1 and block == 1 else 1)
    return x


def _residual(x: Any, filters: int, name: str, l2: float | None, *, strides: int) -> Any:
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, f"{name}_projection", l2, kernel=1, strides=strides, activation=None)
    inner = _normalized_convolution(x, filters, f"{name}_conv1", l2, strides=strides)
    inner = _normalized_convolution(inner, filters, f"{name}_conv2", l2, activation=None)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([inner, shortcut]))


def _alexnet(x: Any, size: Size) -> Any:
    """AlexNet made small: two stages with local response normalization, further convolutions, one pooling."""
    for stage, filters in enumerate(size.filters, 1):
        x = _convolution(x, filters, f"block{stage}_conv")
        if stage <= 2:
            x = LocalResponseNormalization(name=f"block{stage}_norm")(x)
        if stage <= 2 or stage == len(size.filters):
            x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return x


def _shallow(x: Any, size: Size) -> Any:
    """Convolutions of low-level Keras, one as published."""
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
        kernel_regularizer=_penalty(l2),
        name=name,
    )(x)


def _normalized_convolution(
    x: Any,
    filters: int,
    name: str,
    l2: float | None,
    *,
    padding: str = "same",
    strides: int = 1,
    activation: str | None = "relu",
) -> Any:
    """Convolution, batch normalization, activation."""
    x = _convolution(x, filters, name, l2, padding=padding, strides=strides, activation=None)
    x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


def _pooled(x: Any, size: Size, stage: int) -> Any:
    x = layers.MaxPooling2D(name=f"block{stage}_pool")(x)
    return layers.Dropout(size.dropout, name=f"block{stage}_dropout")(x) if size.dropout else x


def _penalty(l2: float | None) -> Any:
    return keras.regularizers.L2(l2) if l2 else None


# What turns symbolic pixels in 0..1 into features
_STACKS: dict[str, Callable[[Any, Size], Any]] = {
    "smallcnn": _plain,
    "shallow": _shallow,
    "simple5": _simple,
    "vgg10": _vgg,
    "resnet20": _resnet,
    "alexnet-mini": _alexnet,
    "cnn3": _normalized,
    "conv6": _normalized,
    "deep": _normalized,
}


def build(name: str, size: Size, side: int, channels: int, weights: str) -> keras.Model:
    """A small network, from pixels (n, side, side, channels) in 0..255 to a feature map.

    Raises:
        ModelError: images that are too small for it.
        WeightsError: ImageNet weights are asked for, which no small network has.
    """
    if weights == "imagenet":
        raise weight_files.no_imagenet_weights(name)
    pixels = keras.Input((side, side, channels), name="pixels")
    try:
        model = keras.Model(pixels, _STACKS[name](layers.Rescaling(1 / 255)(pixels), size), name="backbone")
    except ValueError as error:
        raise ModelError(
            f"{name} cannot be built at image_size={side}: its {len(size.filters)} stages leave no pixel. "
            "Give fewer `network.filters`, or a larger `image_size`."
        ) from error
    if weights != "none":
        weight_files.load(model, Path(weights))
    return model
