"""Build augmentation as Keras layers of the training graph; the saved model never holds them."""

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
    """Return the Keras layers that change training images one by one, in the order of their settings.

    They work on pixels in 0..255 at native size, before the model's resize, and do nothing outside training.
    Pixels that a rotation, zoom or translation uncovers are filled by reflection, those around a crop are black.

    Args:
        config: The size of each change; one of size zero gives no layer.
        seed: Seed of the first layer; each further layer takes the next number, also after one that is left out.
    """
    from keras import layers

    from tinybench.data.augment_layers import Cutout, PaddedCrop

    shift = config.translation
    builders: dict[str, Callable[..., keras.layers.Layer]] = {
        "flip": partial(layers.RandomFlip, "horizontal"),
        "rotation": partial(layers.RandomRotation, config.rotation / 360),
        "zoom": partial(layers.RandomZoom, config.zoom),
        "translation": partial(layers.RandomTranslation, shift, shift),
        "contrast": partial(layers.RandomContrast, config.contrast, value_range=(0, 255)),
        "crop": partial(PaddedCrop, config.crop),
        "cutout": partial(Cutout, config.cutout),
    }
    return [
        build_layer(seed=seed + index, name=f"{PREFIX}{name}")
        for index, (name, build_layer) in enumerate(builders.items())
        if getattr(config, name)
    ]


def check(config: AugmentConfig, shape: tuple[int, int, int]) -> None:
    """Raise unless every change leaves something of an image of this shape (height, width, channels).

    Raises:
        ConfigError: The padding of the crop is as wide as the image.
    """
    side = min(shape[:2])
    if config.crop >= side:
        raise ConfigError(
            f"Invalid value for `augment.crop`: expected fewer than the {side} pixels of an image, got {config.crop}."
        )


def build_mixing(config: AugmentConfig, seed: int) -> list[keras.layers.Layer]:
    """Return the Keras layers that mix the images and one-hot labels of a batch: MixUp, then CutMix.

    Args:
        config: The alphas; an alpha of zero gives no layer.
        seed: Seed of MixUp; CutMix takes the next number.
    """
    from keras import layers

    builders = [
        (config.mixup, partial(layers.MixUp, config.mixup, name="mix_up")),
        (config.cutmix, partial(layers.CutMix, config.cutmix, name="cut_mix")),
    ]
    return [build_layer(seed=seed + index) for index, (alpha, build_layer) in enumerate(builders) if alpha]


def changes_images(config: AugmentConfig) -> bool:
    """Return whether any setting changes training images one by one."""
    return any(value for name, value in vars(config).items() if name not in ("mixup", "cutmix"))
