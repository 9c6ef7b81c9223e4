"""The small networks that need no download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from tinybench.errors import WeightsError
from tinybench.models import weights as weight_files


def _smallcnn(size: int) -> keras.Model:
    """Two blocks of two 3×3 convolutions, for images of about 8 to 32 pixels; 65,568 parameters.

    No batch normalization: a frozen backbone runs in inference mode, where statistics that were never
    learned would mean nothing.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    for filters in (32, 64):
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal")(x)
        x = layers.MaxPooling2D()(x)
    return keras.Model(pixels, x, name="backbone")


NETWORKS: dict[str, Callable[[int], keras.Model]] = {"smallcnn": _smallcnn}


def build(name: str, size: int, weights: str) -> keras.Model:
    """A small network for square images of `size` pixels and three channels.

    Raises:
        WeightsError: ImageNet weights are asked for, which no small network has.
    """
    if weights == "imagenet":
        raise WeightsError(f"There are no ImageNet weights for {name}: set --weights none, or give a file.")
    model = NETWORKS[name](size)
    if weights != "none":
        weight_files.load(model, Path(weights))
    return model
