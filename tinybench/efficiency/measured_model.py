"""Build the model that is measured, or load it from a file, and export it for engines that read a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core.errors import EngineError, format_error
from tinybench.efficiency.measurement_spec import MeasurementSpec

if TYPE_CHECKING:
    import keras

_CLASSIFIER_DIMENSIONS = 2  # of the output: images and classes; the maps of a backbone have four


def build_model(spec: MeasurementSpec) -> keras.Model:
    """Build the model of a specification, raw pixels to probabilities.

    A file that holds a whole model is loaded as it is; another model gets the head of the recipe.

    Raises:
        EngineError: The file cannot be read as a Keras model.
        ModelError: The model is unknown, or cannot be built like this.
    """
    from tinybench import models
    from tinybench.recipes.resolve import resolve

    if spec.recipe is None or spec.model.endswith(".keras"):
        try:
            model = models.load(Path(spec.model))
        except (OSError, ValueError, TypeError) as error:
            raise EngineError(f"{spec.model} cannot be read as a Keras model: {format_error(error)}") from error
        if spec.recipe is None or len(model.output.shape) == _CLASSIFIER_DIMENSIONS:
            return model
    size = spec.image_size
    config = resolve(spec.recipe, {"model": spec.model, "weights": "none", "image_size": size})
    return models.build(config, (size, size, spec.channels), spec.classes)


def export_model(spec: MeasurementSpec, folder: Path) -> Path:
    """Export the model for an engine that reads a file, in another process.

    Converters leave gigabytes behind, which would count as memory that the engine takes.

    Args:
        spec: What is measured; its engine is one of `runners.FILE_ENGINES`.
        folder: Where the file is written.

    Returns:
        The path of the file.

    Raises:
        EngineError: The model cannot be converted.
    """
    file = folder / ("model.onnx" if spec.engine == "onnxruntime" else "model.pb")
    command = [sys.executable, "-P", "-m", "tinybench.efficiency.measured_model", str(file)]
    process = subprocess.run(command, input=spec.to_json(), capture_output=True, text=True, check=False, env=os.environ)
    if process.returncode or not file.exists():
        lines = [line for line in process.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {process.returncode}"
        raise EngineError(f"The model cannot be converted: {reason}")
    return file


def _export(spec: MeasurementSpec, file: Path) -> None:
    """Build the model and write it for its engine, in this process."""
    model = build_model(spec)
    if spec.engine == "onnxruntime":
        from tinybench.models import onnx_graph

        onnx_graph.save(model, file)
        return
    from tinybench.features import openvino_graph
    from tinybench.models import mixed_precision

    lowered = spec.engine == "tf" and spec.precision != "float32"  # OpenVINO lowers the precision of a graph itself
    with mixed_precision.override_dtypes(model, spec.precision) if lowered else nullcontext():
        openvino_graph.save_frozen_graph(model, None, file.parent)


if __name__ == "__main__":
    _export(MeasurementSpec(**json.loads(sys.stdin.read())), Path(sys.argv[1]))
