"""Build backbones: Keras Applications by name, the small networks, and a user's `.keras` file.

A backbone maps pixels in 0..255 at the run's input size to a feature map. Its preprocessing is part of the
model, so that the trained, saved and served model takes raw pixels and nothing is scaled twice.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
from keras.src.models.functional import Functional

from tinybench.config import network_size
from tinybench.config.network_size import NetworkSize
from tinybench.config.run_config import FILE_WEIGHTS, RunConfig
from tinybench.core.errors import ModelError
from tinybench.core.suggestion import suggest
from tinybench.models import flat_graph, model_file, networks, weights

# Those that are tested and documented; any other name of Keras Applications is looked up in Keras itself
APPLICATIONS = {
    "vgg16": "VGG16",
    "resnet50": "ResNet50",
    "efficientnetb0": "EfficientNetB0",
    "convnextbase": "ConvNeXtBase",
    "efficientnetv2b0": "EfficientNetV2B0",
}


@dataclass(frozen=True)
class Backbone:
    """A feature extractor and the preprocessing that its pixels need.

    Attributes:
        model: Maps (n, size, size, channels) to (n, height, width, channels).
        preprocess: Symbolic Keras operations to apply to the resized pixels before the model.
    """

    model: keras.Model
    preprocess: Callable[[Any], Any]


def build(config: RunConfig, channels: int = 3, *, pretrained: bool = True) -> Backbone:
    """Build the backbone of a configuration, with its weights.

    Args:
        config: Its `model`, `weights`, `image_size`, `backbone.*` and `network.*` are used.
        channels: Channels of the images; the small networks take 1 or 3, all other backbones 3.
        pretrained: Whether weights are loaded; without them, parameters can be counted without a download.

    Raises:
        ModelError: The name is unknown, or the architecture does not allow the input size.
        WeightsError: The weights cannot be loaded or do not fit.
    """
    size = check(config)
    weights_source = config.weights if pretrained else "none"
    if size is not None:
        return Backbone(
            networks.build(config.model, size, config.image_size, channels, weights_source), lambda pixels: pixels
        )
    if config.has_own_model:
        return _load_backbone(config, weights_source)
    return _build_application(config, weights_source)


def check(config: RunConfig) -> NetworkSize | None:
    """Raise unless the model of a configuration exists in the configured size; nothing is loaded.

    Returns:
        The size of a small network; None for any other model.

    Raises:
        ModelError: There is no such name or file, or the model has no such size; the message lists the choices.
    """
    if config.has_own_model:
        model_file.check(Path(config.model))
    elif config.model not in network_size.PUBLISHED_SIZES and config.model not in _constructors():
        choices = ", ".join([*network_size.PUBLISHED_SIZES, *APPLICATIONS])
        raise ModelError(
            f"Unknown model {config.model!r}: expected one of {choices}, another Keras Applications name in lower "
            "case (tinybench models lists them), or the path of a .keras or .h5 file."
            + (f" To name the file of this name, give ./{config.model}." if Path(config.model).exists() else "")
            + suggest(config.model, names())
        )
    return network_size.effective_size(config.model, config.network)


def names() -> list[str]:
    """Return every name that `build` takes, the documented ones first."""
    return [*network_size.PUBLISHED_SIZES, *APPLICATIONS, *sorted(set(_constructors()) - set(APPLICATIONS))]


def _build_application(config: RunConfig, weights_source: str) -> Backbone:
    constructor, module = _constructors()[config.model]
    arguments = {"include_top": False, "input_shape": (config.image_size, config.image_size, 3)}
    try:
        if weights_source == "imagenet":
            with weights.redirect_downloads(config.backbone.mirror):
                model = constructor(weights="imagenet", **arguments)
        else:
            model = constructor(weights=None, **arguments)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{config.model} cannot be built at image_size={config.image_size}: {reason}") from error
    if weights_source not in ("imagenet", "none"):
        weights.load(model, Path(weights_source))
    return _make_backbone(model, module.preprocess_input)


def _load_backbone(config: RunConfig, weights_source: str) -> Backbone:
    path = Path(config.model)
    model = _to_functional(model_file.load(path), config.image_size)
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.output.shape) != 4:
        raise ModelError(
            f"{path} is not a backbone: expected one image input and one feature map (n, h, w, channels) as output, "
            f"got outputs {[tuple(output.shape) for output in model.outputs]}. Save the model without its classifier."
        )
    if model.input_shape[-1] not in (None, 3):
        raise ModelError(f"{path} takes images of {model.input_shape[-1]} channels: a backbone must take 3 (RGB).")
    side = config.image_size
    if any(length not in (None, side) for length in model.input_shape[1:3]):
        raise ModelError(f"{path} takes images of {model.input_shape[1:3]}: set image_size to that.")
    if weights_source not in (FILE_WEIGHTS, "none"):
        weights.load(model, Path(weights_source))
    elif weights_source == "none":
        model = keras.models.clone_model(model)  # the same layers with fresh weights
    model = flat_graph.inline_models(model)  # so that each layer can be frozen
    mode = config.backbone.preprocessing
    if mode == "included":
        return _make_backbone(model, lambda pixels: pixels)
    return _make_backbone(model, lambda pixels: keras.applications.imagenet_utils.preprocess_input(pixels, mode=mode))


def _to_functional(model: keras.Model, side: int) -> keras.Model:
    """Return a Functional model, which can be frozen in part; a Sequential becomes one with the same layers."""
    if isinstance(model, keras.Sequential):
        pixels = features = keras.Input(model.input_shape[1:] if model.built else (side, side, 3))
        for layer in model.layers:
            features = layer(features)
        return keras.Model(pixels, features)
    if not isinstance(model, Functional):
        raise ModelError(f"A {type(model).__name__} cannot be frozen in part: save a Functional or Sequential model.")
    return model


def _make_backbone(model: keras.Model, preprocess: Callable[[Any], Any]) -> Backbone:
    model.name = "backbone"  # the name by which all other modules find it
    return Backbone(model, preprocess)


@cache
def _constructors() -> dict[str, tuple[Callable[..., Any], ModuleType]]:
    """Return every constructor of Keras Applications by lower-case name, with the module of its preprocessing."""
    return {
        name.lower(): (member, sys.modules[member.__module__])
        for name, member in inspect.getmembers(keras.applications, inspect.isfunction)
    }
