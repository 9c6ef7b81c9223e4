"""From a Keras model to OpenVINO, by TensorFlow's own format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tinybench.core.errors import EngineError


def runtime() -> Any:
    """The package `openvino`, without its converter.

    Raises:
        EngineError: it is not installed.
    """
    # The converter, which we do not need, sends usage data whenever it is imported; openvino goes on without it
    converter = "openvino.tools.ovc"
    sys.modules.setdefault(converter, None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            "Engine openvino is not installed: pip install 'tinybench[openvino]', or set engine to auto."
        ) from error
    finally:
        if sys.modules[converter] is None:
            del sys.modules[converter]
    return openvino


def frozen(model: keras.Model, batch: int | None, folder: Path) -> Path:
    """The model as a frozen TensorFlow graph, for batches of one size or of any."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    shape = tf.TensorSpec((batch, *model.input_shape[1:]), tf.float32)
    function = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(shape)
    graph = convert_variables_to_constants_v2(function).graph.as_graph_def()
    path = folder / "model.pb"
    path.write_bytes(graph.SerializeToString())
    return path
