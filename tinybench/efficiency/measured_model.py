"""The model that is measured: built by its name, or read from a file."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core.errors import EngineError, in_one_line
from tinybench.efficiency.spec import Spec

if TYPE_CHECKING:
    import keras

_OF_CLASSES = 2  # dimensions: images and classes; a backbone's maps have four


def model(spec: Spec) -> keras.Model:
    """Pixels to probabilities: as it is where a file holds a whole model, else with the head of the recipe.

    Raises:
        ModelError: it is unknown, or cannot be built so.
    """
    from tinybench import models
    from tinybench.recipes.resolve import resolve

    if spec.recipe is None or spec.model.endswith(".keras"):
        loaded = _loaded(Path(spec.model))
        if spec.recipe is None or len(loaded.output.shape) == _OF_CLASSES:
            return loaded
    size = spec.image_size
    config = resolve(spec.recipe, {"model": spec.model, "weights": "none", "image_size": size})
    return models.build(config, (size, size, spec.channels), spec.classes)


def _loaded(file: Path) -> keras.Model:
    from tinybench import models

    try:
        return models.load(file)
    except (OSError, ValueError, TypeError) as error:
        raise EngineError(f"{file} cannot be read as a Keras model: {in_one_line(error)}") from error


def exported(spec: Spec, folder: Path) -> Path:
    """The model's file for an engine that reads one, written by another process.

    Converters leave gigabytes behind, which would count as memory that the engine takes.

    Raises:
        EngineError: it cannot be converted.
    """
    file = folder / ("model.onnx" if spec.engine == "onnxruntime" else "model.pb")
    words = [sys.executable, "-P", "-m", "tinybench.efficiency.measured_model", str(file)]
    done = subprocess.run(words, input=spec.as_json(), capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode or not file.exists():
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise EngineError(f"The model cannot be converted: {said[-1] if said else f'exit code {done.returncode}'}")
    return file


def _export(spec: Spec, file: Path) -> None:
    if spec.engine == "onnxruntime":
        from tinybench.models import onnx_graph

        onnx_graph.save(model(spec), file)
        return
    from tinybench.features import openvino_graph
    from tinybench.models import mixed_precision

    made = model(spec)
    lowered = spec.engine == "tf" and spec.precision != "float32"  # OpenVINO lowers a graph itself
    with mixed_precision.override_dtypes(made, spec.precision) if lowered else nullcontext():
        openvino_graph.save_frozen_graph(made, None, file.parent)


if __name__ == "__main__":
    import json

    _export(Spec(**json.loads(sys.stdin.read())), Path(sys.argv[1]))
