"""Write a model in each format with its metadata inside, and load it again by the format's own runtime."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench import models
from tinybench.commands.export_metadata import Metadata, to_json, to_properties
from tinybench.features import openvino_graph
from tinybench.models import litert_graph, onnx_graph

METADATA_NAME = "tinybench"
"""What the metadata are called inside a file: an attribute of HDF5, a key of OpenVINO, else a file with `.json`."""

_METADATA_FILE = f"{METADATA_NAME}.json"
_LABELS_FILE = "labels.txt"  # by which apps look for the classes of a LiteRT model
_EXTRA_ASSETS = "assets.extra"  # the folder of a SavedModel for what belongs to no graph

Pixels = NDArray[np.uint8]
Predict = Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class ExportSource:
    """The model to export.

    Attributes:
        model: From pixels to probabilities.
        metadata: What is written into the file.
        calibration: Images that the ranges of the activations are measured on; empty for formats without.
    """

    model: keras.Model
    metadata: Metadata
    calibration: Pixels = field(default_factory=lambda: np.empty(0, np.uint8))


@dataclass(frozen=True)
class Exporter:
    """The functions that write and read a format.

    Attributes:
        write: Writes a model with its metadata to a path.
        read: Loads a written model, and returns its prediction function.
        dtype: The type of the pixels that the exported model takes.
        quantized: Whether it is less exact than the model, and needs images to be calibrated on.
        packages: Packages that must be installed.
        extra: The extra of tinybench that installs them.
    """

    write: Callable[[ExportSource, Path], None]
    read: Callable[[Path], Predict]
    dtype: str = "float32"
    quantized: bool = False
    packages: tuple[str, ...] = ()
    extra: str = ""


def _save_keras(source: ExportSource, path: Path) -> None:
    source.model.save(path)
    _append_files(path, {_METADATA_FILE: to_json(source.metadata)})


def _save_h5(source: ExportSource, path: Path) -> None:
    import h5py

    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)  # without the warning that .h5 is an old format
    try:
        source.model.save(path)
    finally:
        logger.setLevel(level)
    with h5py.File(path, "a") as file:
        file.attrs[METADATA_NAME] = to_json(source.metadata)


def _load_keras(path: Path) -> Predict:
    model = models.load(path)
    return lambda pixels: np.asarray(model.predict(pixels, verbose=0))


def _save_saved_model(source: ExportSource, path: Path) -> None:
    source.model.export(path, format="tf_saved_model", verbose=False)
    folder = path / _EXTRA_ASSETS
    folder.mkdir()
    (folder / _METADATA_FILE).write_text(to_json(source.metadata), "utf-8")


def _load_saved_model(path: Path) -> Predict:
    import tensorflow as tf

    graph = tf.saved_model.load(str(path))
    return lambda pixels: np.asarray(graph.serve(tf.constant(pixels, tf.float32)))


def _save_onnx(source: ExportSource, path: Path) -> None:
    properties = to_properties(source.metadata)
    properties["model_license"] = properties.pop("license")  # the name that ONNX gives it
    onnx_graph.save(source.model, path, properties)


def _load_onnx(path: Path) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels.astype(np.float32)})[0])


def _save_openvino(source: ExportSource, path: Path) -> None:
    openvino = openvino_graph.import_openvino()
    with TemporaryDirectory() as folder:
        graph = openvino.Core().read_model(openvino_graph.save_frozen_graph(source.model, None, Path(folder)))
        for key, value in to_properties(source.metadata).items():
            graph.set_rt_info(value, [METADATA_NAME, key])
        openvino.save_model(graph, str(path), compress_to_fp16=False)


def _load_openvino(path: Path) -> Predict:
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_graph.import_openvino().Core().compile_model(str(path), "CPU", options)
    return lambda pixels: np.asarray(compiled(pixels.astype(np.float32))[0])


def _save_litert(source: ExportSource, path: Path) -> None:
    litert_graph.save(source.model, path)
    _append_litert_files(source, path)


def _save_litert_int8(source: ExportSource, path: Path) -> None:
    litert_graph.save_int8(source.model, path, source.calibration)
    _append_litert_files(source, path)


def _append_litert_files(source: ExportSource, path: Path) -> None:
    """Append metadata and class names as LiteRT's associated files: a ZIP archive behind the model."""
    labels = "".join(f"{name}\n" for name in source.metadata["class_names"])
    _append_files(path, {_METADATA_FILE: to_json(source.metadata), _LABELS_FILE: labels})


def _append_files(path: Path, texts: Metadata) -> None:
    """Append texts as files to a ZIP archive, or to a file that becomes one."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


EXPORTERS = {
    "keras": Exporter(_save_keras, _load_keras),
    "h5": Exporter(_save_h5, _load_keras),
    "savedmodel": Exporter(_save_saved_model, _load_saved_model),
    "onnx": Exporter(_save_onnx, _load_onnx, packages=("tf2onnx", "onnxruntime"), extra="onnx"),
    "openvino": Exporter(_save_openvino, _load_openvino, packages=("openvino",), extra="openvino"),
    "litert": Exporter(_save_litert, litert_graph.load),
    "litert-int8": Exporter(_save_litert_int8, litert_graph.load, dtype="uint8", quantized=True),
}
"""The formats by name, those of `export_suffixes.SUFFIXES`."""
