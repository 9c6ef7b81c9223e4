"""Export a Keras model to ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
import numpy as np


def save(model: keras.Model, path: Path) -> None:
    """Write a model from pixels to probabilities for batches of any size; needs the package tf2onnx."""
    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # the exporter needs a model that was called
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras uses a deprecated name of NumPy
        model.export(path, format="onnx", verbose=False)
    _remove_unused_inputs(path)


def _remove_unused_inputs(path: Path) -> None:
    """Remove inputs that no node uses: the converter leaves constants that it folded, such as a mean of colours."""
    import onnx

    model = onnx.load(path)
    input_names = {name for node in model.graph.node for name in node.input}
    for unused in [graph_input for graph_input in model.graph.input if graph_input.name not in input_names]:
        model.graph.input.remove(unused)
    onnx.save(model, path)
