"""Augmentation as layers of the training graph, never of the saved model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from tinybench.config import AugmentConfig


def build(config: AugmentConfig, seed: int) -> list[keras.layers.Layer]:
    """The Keras layers that change training images, in the order flip, rotation, zoom, translation.

    They work on pixels in 0..255 at native size, before the model's resize, and do nothing outside
    training. Places that a change uncovers are filled by reflection.

    Args:
        config: Which changes, and how large; those of size zero give no layer.
        seed: Seed of the first layer; each further one takes the next number.
    """
    from keras import layers

    shift = config.translation
    wanted: list[tuple[float, Callable[..., keras.layers.Layer]]] = [
        (config.flip, partial(layers.RandomFlip, "horizontal")),
        (config.rotation, partial(layers.RandomRotation, config.rotation / 360)),
        (config.zoom, partial(layers.RandomZoom, config.zoom)),
        (shift, partial(layers.RandomTranslation, shift, shift)),
    ]
    return [make(seed=seed + place) for place, (size, make) in enumerate(wanted) if size]


def mixing(config: AugmentConfig, seed: int) -> list[keras.layers.Layer]:
    """The Keras layers that mix the images and one-hot labels of a batch: MixUp, then CutMix.

    Args:
        config: The alphas; one of zero gives no layer.
        seed: Seed of the first layer; the second takes the next number.
    """
    from keras import layers

    wanted = [
        (config.mixup, partial(layers.MixUp, config.mixup, name="mix_up")),
        (config.cutmix, partial(layers.CutMix, config.cutmix, name="cut_mix")),
    ]
    return [make(seed=seed + place) for place, (alpha, make) in enumerate(wanted) if alpha]


def changes(config: AugmentConfig) -> bool:
    """Whether anything changes training images one by one."""
    return bool(config.flip or config.rotation or config.zoom or config.translation)
