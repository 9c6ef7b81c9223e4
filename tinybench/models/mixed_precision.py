"""Use Keras's mixed precision for the layers of a model that is built already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

# The head's last layers are declared float32
_FLOAT32 = ("logits", "probabilities")


@contextmanager
def override_dtypes(
    model: keras.Model, precision: str, exclude: Callable[[keras.layers.Layer], bool] | None = None
) -> Iterator[None]:
    """Let the layers of a model compute in bfloat16 or float16 within the block, except those declared float32.

    Functions that use the model must be traced within the block. Weights stay in float32.

    Args:
        model: The model; its own dtype policies are restored after the block.
        precision: `bfloat16` or `float16`.
        exclude: Returns whether a layer is left unchanged.
    """
    layers = [layer for layer in model._flatten_layers() if layer.name not in _FLOAT32]
    if exclude is not None:
        layers = [layer for layer in layers if not exclude(layer)]
    policies = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = f"mixed_{precision}"
    try:
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy
