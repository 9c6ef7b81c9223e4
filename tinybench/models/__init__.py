"""Models: raw pixels in, class probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from tinybench.config.run_config import RunConfig


def check(config: RunConfig) -> None:
    """Refuse a model that cannot be had, or not in the size or with the weights that are asked for.

    Raises:
        ModelError: the message says what there is.
        WeightsError: it has no ImageNet weights.
    """
    from tinybench.models import backbones, weights

    if backbones.check(config) is not None and config.weights == "imagenet":
        raise weights.no_imagenet_weights(config.model)


def load(path: Path) -> keras.Model:
    """A model of ours from a `.keras` or `.h5` file, not compiled.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is no model.
    """
    import keras

    from tinybench.models import layers  # noqa: F401, registers them

    return keras.saving.load_model(path, compile=False)


def build(config: RunConfig, shape: tuple[int, int, int], classes: int, *, pretrained: bool = True) -> keras.Model:
    """The whole model: resize, the backbone's preprocessing, backbone, head.

    The backbone is one layer named `backbone`, called in inference mode; `training.phases` decides what
    of it is trained. The model holds no augmentation, so two calls on one image agree.

    Args:
        config: The run's configuration.
        shape: Height, width and channels of the images as they are stored.
        classes: Number of classes.
        pretrained: False fetches no weights (for counting).

    Returns:
        A model from (n, height, width, channels) pixels in 0..255 to (n, classes) probabilities.

    Raises:
        ModelError: an unknown model or one that cannot be built as asked.
        WeightsError: weights that cannot be had or do not fit.
    """
    import keras

    from tinybench.models import backbones, head

    backbone = backbones.build(config, shape[2], pretrained=pretrained)
    # float32 takes uint8 as well: Keras casts inside the graph, after the copy to the device
    pixels = keras.Input(shape, name="pixels")
    x = pixels
    if shape[:2] != (config.image_size, config.image_size):
        x = keras.layers.Resizing(config.image_size, config.image_size, name="resize")(x)
    if shape[2] == 1 and backbone.model.input_shape[-1] != 1:
        x = keras.layers.Concatenate(name="gray_to_rgb")([x, x, x])
    features = backbone.model(backbone.preprocess(x), training=False)
    return keras.Model(pixels, head.attach(features, config.head, classes), name="classifier")
