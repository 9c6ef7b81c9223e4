"""What a layer of the backbone gives, and what its first kernels look for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import ModelError
from tinybench.explain import inputs, layer_outputs
from tinybench.models import parts


def maps(model: keras.Model, pixels: NDArray[Any], layer: str) -> NDArray[np.float32]:
    """The output of a layer of the backbone.

    Args:
        model: From raw pixels to probabilities, with a layer named `backbone`.
        pixels: (n, height, width, channels) in 0..255.
        layer: Its name.

    Returns:
        (n, h, w, channels) as the layer has them.

    Raises:
        ModelError: there is no backbone, no such layer, or the layer gives no map.
        ValueError: pixels that `inputs.checked` refuses.
    """
    inputs.checked(model, pixels)
    lower = keras.Model(layer_outputs.backbone(model).input, layer_outputs.one(model, layer))
    entrance = parts.entrance(model)
    rows = inputs.pieces(len(pixels), inputs.at_once(model))
    found = [lower(entrance(pixels[row], training=False), training=False) for row in rows]
    return np.concatenate([keras.ops.convert_to_numpy(each) for each in found]).astype(np.float32)


def first_filters(model: keras.Model) -> NDArray[np.float32]:
    """Kernels (height, width, channels in, count) of the backbone's first convolution.

    Raises:
        ModelError: there is no backbone, or no convolution in it.
    """
    for layer in _layers(layer_outputs.backbone(model)):
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and len(kernel.shape) == 4:
            return np.asarray(keras.ops.convert_to_numpy(kernel), np.float32)
    raise ModelError("The backbone has no convolution whose kernels could be shown.")


def _layers(graph: keras.Model) -> Iterator[Any]:
    """All layers, from below, those of models in the model in their place."""
    for layer in graph.layers:
        yield from _layers(layer) if isinstance(layer, keras.Model) else (layer,)
