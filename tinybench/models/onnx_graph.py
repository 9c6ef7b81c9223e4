"""Export a Keras model to ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import keras

from tinybench.core import quiet_libraries
from tinybench.models import frozen_graph

INPUT, OUTPUT = "pixels", "probabilities"
"""The names of the input and the output of the graph."""


def save(model: keras.Model, path: Path, properties: Mapping[str, str] | None = None) -> None:
    """Write a model from pixels to probabilities for batches of any size; needs the package tf2onnx.

    The graph is frozen first: Keras's own export takes constants that layers hold, such as the mean of a
    `Normalization`, for further inputs of the graph.

    Args:
        model: The model.
        path: The file to write.
        properties: Texts by key that are written into the file as `metadata_props`.
    """
    import onnx
    from keras.src.export.tf2onnx_lib import patch_tf2onnx  # for NumPy 2, as in Keras's own export

    with quiet_libraries.discard_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras uses a deprecated name of NumPy
        patch_tf2onnx()
        import tf2onnx

        function = frozen_graph.freeze(model, inline=True)
        (source,), (target,) = function.inputs, function.outputs
        proto, _ = tf2onnx.convert.from_graph_def(
            function.graph.as_graph_def(add_shapes=True),
            name=model.name,
            input_names=[source.name],
            output_names=[target.name],
            tensors_to_rename={source.name: INPUT, target.name: OUTPUT},
        )
    onnx.helper.set_model_props(proto, dict(properties or {}))
    onnx.save(proto, path)
