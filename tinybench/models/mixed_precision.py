"""Keras's mixed precision for the layers of a model that is there already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

# The head's last layers are declared float32
_FLOAT32 = ("logits", "probabilities")


def _none(_: keras.layers.Layer) -> bool:
    return False


@contextmanager
def override_dtypes(model: keras.Model, precision: str, exclude: Callable[[keras.layers.Layer], bool] = _none) -> Iterator[None]:
    """Let all layers compute in bfloat16 or float16 meanwhile, but for those that were declared float32.

    What computes with the model must be traced inside. Weights stay in float32.

    Args:
        model: It is left as it was.
        precision: `bfloat16` or `float16`.
        exclude: Layers that stay as they are too.
    """
    layers = [layer for layer in model._flatten_layers() if not (layer.name in _FLOAT32 or exclude(layer))]
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = f"mixed_{precision}"
    try:
        yield
    finally:
        for layer, policy in zip(layers, before, strict=True):
            layer.dtype_policy = policy
