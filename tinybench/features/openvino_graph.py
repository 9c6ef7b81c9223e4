"""Pass a Keras model to OpenVINO as a frozen TensorFlow graph."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras

from tinybench.core.errors import EngineError
from tinybench.models import frozen_graph


def import_openvino() -> Any:
    """Import the package `openvino` without its converter, which sends usage data on import.

    Raises:
        EngineError: The extra `openvino` is not installed.
    """
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


def save_frozen_graph(model: keras.Model, batch: int | None, folder: Path) -> Path:
    """Write a model as a frozen TensorFlow graph and return the file.

    Args:
        model: Pixels (n, height, width, channels) to anything.
        batch: The fixed batch size; None for any.
        folder: Where `model.pb` is written.
    """
    path = folder / "model.pb"
    path.write_bytes(frozen_graph.freeze(model, batch).graph.as_graph_def().SerializeToString())
    return path
