"""Models that map raw pixels to class probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.config.run_config import FILE_WEIGHTS

if TYPE_CHECKING:
    import keras

    from tinybench.config.run_config import RunConfig


def check(config: RunConfig) -> None:
    """Raise unless the model exists, in the size and with the weights of a configuration; nothing is loaded.

    Raises:
        ModelError: There is no such model, or not in this size; the message lists the choices.
        WeightsError: The model has no ImageNet weights, or there is no file with the weights.
    """
    from tinybench.models import backbones, weights

    if backbones.check(config) is not None and config.weights == "imagenet":
        raise weights.no_imagenet_weights(config.model)
    if config.weights not in ("imagenet", "none", FILE_WEIGHTS):
        weights.check_file(Path(config.weights))


def load(path: Path) -> keras.Model:
    """Load a model that tinybench saved to a `.keras` or `.h5` file, without compiling it.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: The file does not hold a model.
    """
    import keras

    from tinybench.models import layers  # noqa: F401, registers them

    return keras.saving.load_model(path, compile=False)


def build(config: RunConfig, shape: tuple[int, int, int], classes: int, *, pretrained: bool = True) -> keras.Model:
    """Build a complete model: resize, the backbone's preprocessing, backbone, head.

    The backbone is one layer named `backbone`, called in inference mode; `training.phases` decides which of its
    layers are trained. The model holds no augmentation, so that two calls on one image agree.

    Args:
        config: The configuration of the run.
        shape: Height, width and channels of the images as they are stored.
        classes: Number of classes.
        pretrained: Whether weights are loaded; without them, parameters can be counted without a download.

    Returns:
        A model from (n, height, width, channels) pixels in 0..255 to (n, classes) probabilities.

    Raises:
        ModelError: The model is unknown or cannot be built as configured.
        WeightsError: The weights cannot be loaded or do not fit.
    """
    import keras

    from tinybench.models import backbones, head

    backbone = backbones.build(config, shape[2], pretrained=pretrained)
    # A float32 input takes uint8 as well: Keras casts inside the graph, after the copy to the device
    pixels = keras.Input(shape, name="pixels")
    x = pixels
    if shape[:2] != (config.image_size, config.image_size):
        x = keras.layers.Resizing(config.image_size, config.image_size, name="resize")(x)
    if shape[2] == 1 and backbone.model.input_shape[-1] != 1:
        x = keras.layers.Concatenate(name="gray_to_rgb")([x, x, x])
    features = backbone.model(backbone.preprocess(x), training=False)
    return keras.Model(pixels, head.attach(features, config.head, classes), name="classifier")
