"""Export the model of a run to another format, load it again, and compare its predictions with the original's."""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench import data, models
from tinybench.core.errors import ExportError, format_error
from tinybench.data.dataset import sample_rows
from tinybench.features import openvino_graph
from tinybench.models import onnx_graph
from tinybench.tracking import run_record
from tinybench.tracking.tracker import Tracker

TOLERANCE = 1e-3
"""Largest allowed difference of a probability between the exported model and the original."""
_IMAGES = 64

Pixels = NDArray[np.uint8]
Predict = Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class ExportedModel:
    """An exported model and how well it agrees with the original.

    Attributes:
        path: The file or folder that was written.
        images: Number of test images on which the models were compared.
        difference: Largest difference of a probability.
        agreement: Share of images with the same most probable class.
        custom_layers: Layers of tinybench that Keras must know to load the model.
    """

    path: Path
    images: int
    difference: float
    agreement: float
    custom_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Format:
    """A format to export to.

    Attributes:
        suffix: Suffix of the file; empty for a folder.
        write: Writes a model to a path.
        read: Loads a written model, and returns its prediction function.
        packages: Packages that must be installed.
        extra: The extra of tinybench that installs them.
    """

    suffix: str
    write: Callable[[keras.Model, Path], None]
    read: Callable[[Path], Predict]
    packages: tuple[str, ...] = ()
    extra: str = ""


def export_model(run_id: str, format: str, *, output: Path | None = None, uri: str | None = None) -> ExportedModel:
    """Export the model of a finished run.

    Args:
        run_id: A run, or a phase of one, whose own model is exported.
        format: One of `FORMATS`.
        output: The file or folder to write, which must not exist; `model` with the format's suffix if None.
        uri: The tracking store; MLflow's default if None.

    Raises:
        DataError: The run's data, which the models are compared on, are not available.
        ExportError: The path exists, an extra is not installed, the format cannot hold the model, or the exported
            model predicts something else than the original; it is then removed.
        TrackingError: There is no such run, or it has no model.
    """
    exporter = FORMATS[format]
    path = output or Path(f"model{exporter.suffix}")
    _check_export(format, exporter, path)
    tracker = Tracker.at(uri)
    config = run_record.read_config(tracker, tracker.find_top_run(run_id))
    model = run_record.load_final_model(tracker, run_id)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    pixels = dataset.test.images(np.sort(sample_rows(len(dataset.test), _IMAGES)))
    expected = model.predict(pixels, verbose=0)  # first: some exporters need a model that has been called
    try:
        exporter.write(model, path)
        predicted = exporter.read(path)(pixels)
        difference = float(np.abs(predicted - expected).max())
        if not difference <= TOLERANCE:
            raise ExportError(
                f"The exported model predicts something else: probabilities differ by up to {difference:.3g} on "
                f"{len(pixels)} images, more than {TOLERANCE:g}. It was removed; export another format."
            )
    except Exception as error:  # exporters and runtimes raise many kinds
        _remove(path)
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"The model cannot be exported to {format}: {format_error(error)}") from error
    agreement = float((predicted.argmax(axis=1) == expected.argmax(axis=1)).mean())
    custom_layers = _custom_layers(model) if format in ("keras", "h5") else ()
    return ExportedModel(path, len(pixels), difference, agreement, custom_layers)


def _check_export(format: str, exporter: _Format, path: Path) -> None:
    """Raise ExportError if an extra is not installed, or the path exists or has another format's suffix."""
    if any(importlib.util.find_spec(package) is None for package in exporter.packages):
        extra = exporter.extra
        raise ExportError(f"Exporting to {format} needs the extra {extra}: pip install 'tinybench[{extra}]'.")
    for file in filter(Path.exists, _written_files(path)):
        raise ExportError(f"{file} is there already: give another --output, or remove it.")
    if exporter.suffix and path.suffix != exporter.suffix:
        raise ExportError(f"Invalid value for `--output`: expected a name that ends in {exporter.suffix}, got {path}.")


def _custom_layers(model: keras.Model) -> tuple[str, ...]:
    """Return the names of tinybench's own layer classes in a model."""
    classes = {type(layer) for layer in model._flatten_layers()}
    return tuple(sorted(cls.__name__ for cls in classes if cls.__module__.startswith("tinybench.")))


def _written_files(path: Path) -> list[Path]:
    """Return the paths that an export writes; OpenVINO writes the weights next to the graph."""
    return [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]


def _remove(path: Path) -> None:
    """Remove what an export wrote."""
    for file in _written_files(path):
        if file.is_dir():
            shutil.rmtree(file)
        file.unlink(missing_ok=True)


def _save_keras(model: keras.Model, path: Path) -> None:
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)  # without the warning that .h5 is an old format
    try:
        model.save(path)
    finally:
        logger.setLevel(level)


def _load_keras(path: Path) -> Predict:
    model = models.load(path)
    return lambda pixels: np.asarray(model.predict(pixels, verbose=0))


def _save_saved_model(model: keras.Model, path: Path) -> None:
    model.export(path, format="tf_saved_model", verbose=False)


def _load_saved_model(path: Path) -> Predict:
    import tensorflow as tf

    graph = tf.saved_model.load(str(path))
    return lambda pixels: np.asarray(graph.serve(tf.constant(pixels, tf.float32)))


def _load_onnx(path: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels.astype(np.float32)})[0])


def _save_openvino(model: keras.Model, path: Path) -> None:
    openvino = openvino_graph.import_openvino()
    with TemporaryDirectory() as folder:
        graph = openvino.Core().read_model(openvino_graph.save_frozen_graph(model, None, Path(folder)))
        openvino.save_model(graph, str(path), compress_to_fp16=False)


def _load_openvino(path: Path) -> Predict:
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_graph.import_openvino().Core().compile_model(str(path), "CPU", options)
    return lambda pixels: np.asarray(compiled(pixels.astype(np.float32))[0])


FORMATS = {
    "keras": _Format(".keras", _save_keras, _load_keras),
    "h5": _Format(".h5", _save_keras, _load_keras),
    "savedmodel": _Format("", _save_saved_model, _load_saved_model),
    "onnx": _Format(".onnx", onnx_graph.save, _load_onnx, ("tf2onnx", "onnxruntime"), "onnx"),
    "openvino": _Format(".xml", _save_openvino, _load_openvino, ("openvino",), "openvino"),
}
