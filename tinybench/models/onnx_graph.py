"""From a Keras model to ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras


def save(model: keras.Model, path: Path) -> None:
    """Write a model, pixels to probabilities, for batches of any size; needs the package tf2onnx."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for a name of long ago
        model.export(path, format="onnx", verbose=False)
