"""Augmentation as layers of the training graph, never of the saved model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from tinybench.core.errors import ConfigError

if TYPE_CHECKING:
    import keras

    from tinybench.config.sections import AugmentConfig

PREFIX = "augment_"  # of the layers' names


def build(config: AugmentConfig, seed: int) -> list[keras.layers.Layer]:
    """The Keras layers that change training images, in the order of their settings.

    They work on pixels in 0..255 at native size, before the model's resize, and do nothing outside
    training. Places that a turn, zoom or shift uncovers are filled by reflection, those around a crop are black.

    Args:
        config: Which changes, and how large; those of size zero give no layer.
        seed: Seed of the first layer; each further one takes the next number.
    """
    from keras import layers

    from tinybench.data.augment_layers import Cutout, PaddedCrop

    shift = config.translation
    wanted: dict[str, Callable[..., keras.layers.Layer]] = {
        "flip": partial(layers.RandomFlip, "horizontal"),
        "rotation": partial(layers.RandomRotation, config.rotation / 360),
        "zoom": partial(layers.RandomZoom, config.zoom),
        "translation": partial(layers.RandomTranslation, shift, shift),
        "contrast": partial(layers.RandomContrast, config.contrast, value_range=(0, 255)),
        "crop": partial(PaddedCrop, config.crop),
        "cutout": partial(Cutout, config.cutout),
    }
    return [
        make(seed=seed + place, name=f"{PREFIX}{name}")
        for place, (name, make) in enumerate(wanted.items())
        if getattr(config, name)
    ]


def check(config: AugmentConfig, shape: tuple[int, int, int]) -> None:
    """Refuse a change that would leave nothing of an image (height, width, channels).

    Raises:
        ConfigError: the padding is as wide as the image.
    """
    side = min(shape[:2])
    if config.crop >= side:
        raise ConfigError(
            f"Invalid value for `augment.crop`: expected fewer than the {side} pixels of an image, got {config.crop}."
        )


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
    return any(value for name, value in vars(config).items() if name not in ("mixup", "cutmix"))
