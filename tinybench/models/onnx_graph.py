"""From a Keras model to ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
import numpy as np


def save(model: keras.Model, path: Path) -> None:
    """Write a model, pixels to probabilities, for batches of any size; needs the package tf2onnx."""
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # the exporter wants one that was called
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for a name of long ago
        model.export(path, format="onnx", verbose=False)
    _only_real_inputs(path)


def _only_real_inputs(path: Path) -> None:
    """Remove inputs that nothing takes: the converter leaves constants that it folded, such as a mean of colours."""
    import onnx

    whole = onnx.load(path)
    taken = {name for node in whole.graph.node for name in node.input}
    for unused in [each for each in whole.graph.input if each.name not in taken]:
        whole.graph.input.remove(unused)
    onnx.save(whole, path)
