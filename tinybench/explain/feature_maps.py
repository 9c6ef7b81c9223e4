"""Read out what a model has learned: the feature maps of a layer, and the kernels of the first convolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import ModelError
from tinybench.explain import inputs, layer_outputs
from tinybench.models import submodels

_MIN_VISIBLE = 7  # pixels: in smaller maps nothing of the image can be recognised


def compute_feature_maps(model: keras.Model, pixels: NDArray[Any], layer: str) -> NDArray[np.float32]:
    """Compute the output of a layer of the backbone.

    Args:
        model: From raw pixels to probabilities, with a layer named `backbone`.
        pixels: (n, height, width, channels) in 0..255.
        layer: Name of the layer.

    Returns:
        (n, h, w, channels), in the resolution of the layer.

    Raises:
        ModelError: There is no backbone or no such layer, or the output of the layer is not a map.
        ValueError: `inputs.check_inputs` rejects the pixels.
    """
    inputs.check_inputs(model, pixels)
    lower = keras.Model(layer_outputs.get_backbone(model).input, layer_outputs.get_map(model, layer))
    entrance = submodels.entrance(model)
    batches = inputs.batch_indices(len(pixels), inputs.max_batch_size(model))
    outputs = [lower(entrance(pixels[batch], training=False), training=False) for batch in batches]
    return np.concatenate([keras.ops.convert_to_numpy(output) for output in outputs]).astype(np.float32)


def last_visible_layer(model: keras.Model) -> str | None:
    """Return the name of the last layer of the backbone whose maps show where something is; None if none does.

    Raises:
        ModelError: There is no backbone.
    """
    return layer_outputs.last_layer_of(model, _MIN_VISIBLE)


def first_kernels(model: keras.Model) -> NDArray[np.float32]:
    """Return the kernels (height, width, channels in, count) of the first convolution of the backbone.

    Raises:
        ModelError: There is no backbone, or no convolution in it.
    """
    for layer in _iterate_layers(layer_outputs.get_backbone(model)):
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and len(kernel.shape) == 4:
            return np.asarray(keras.ops.convert_to_numpy(kernel), np.float32)
    raise ModelError("The backbone has no convolution whose kernels could be shown.")


def _iterate_layers(model: keras.Model) -> Iterator[Any]:
    """Yield all layers from input to output, those of nested models in place of the nested model."""
    for layer in model.layers:
        yield from _iterate_layers(layer) if isinstance(layer, keras.Model) else (layer,)
