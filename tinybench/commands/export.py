"""A run's model in other formats, each loaded again and compared with the original on real images."""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench import data, models
from tinybench.core.errors import ExportError, in_one_line
from tinybench.features import openvino_graph
from tinybench.models import onnx_graph
from tinybench.tracking import run_record
from tinybench.tracking.tracker import Tracker

# Largest difference of a probability between the exported model and the original
TOLERANCE = 1e-3
_IMAGES = 64

Pixels = NDArray[np.uint8]
Answer = Callable[[Pixels], NDArray[np.float32]]


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: File or folder.
        images: On how many images it was compared.
        difference: Largest difference of a probability.
        agreement: Share of images with the same most probable class.
        own_layers: Layers of tinybench that Keras must know to load it.
    """

    path: Path
    images: int
    difference: float
    agreement: float
    own_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Format:
    suffix: str
    write: Callable[[keras.Model, Path], None]
    read: Callable[[Path], Answer]
    needs: tuple[str, ...] = ()
    extra: str = ""


def export(run_id: str, format: str, output: Path | None = None, uri: str | None = None) -> Exported:
    """Export the model of a finished run.

    Args:
        run_id: The run; of a phase, its own model.
        format: One of `FORMATS`.
        output: File or folder to write, which must not be there; `model` with the format's suffix when None.
        uri: The store that holds the run; MLflow's default when None.

    Raises:
        ExportError: the path is taken, an extra is missing, the format cannot hold the model, or what was written
            answers otherwise than the original; it is then removed.
        DataError: the run's data cannot be had to compare with.
        TrackingError: there is no such run, or it holds no model.
    """
    kind = FORMATS[format]
    missing = [name for name in kind.needs if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"Exporting to {format} needs the extra {kind.extra}: pip install 'tinybench[{kind.extra}]'.")
    path = output or Path(f"model{kind.suffix}")
    for taken in filter(Path.exists, _files(path)):
        raise ExportError(f"{taken} is there already: give another --output, or remove it.")
    if kind.suffix and path.suffix != kind.suffix:
        raise ExportError(f"Invalid value for `--output`: expected a name that ends in {kind.suffix}, got {path}.")
    tracker = Tracker.at(uri)
    config = run_record.read_config(tracker, tracker.find_top_run(run_id))
    model = run_record.load_final_model(tracker, run_id)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    count = len(dataset.test)
    # Drawn, since many sources are sorted by class
    drawn = np.sort(np.random.default_rng(0).choice(count, min(_IMAGES, count), replace=False))
    pixels = dataset.test.images(drawn)
    expected = model.predict(pixels, verbose=0)  # first: some exporters want a model that was called
    try:
        kind.write(model, path)
        found = _compared(path, kind.read(path), pixels, expected)
    except Exception as error:  # exporters and runtimes raise many kinds
        _remove(path)
        raise (
            error
            if isinstance(error, ExportError)
            else ExportError(f"The model cannot be exported to {format}: {in_one_line(error)}")
        ) from error
    return replace(found, own_layers=_own_layers(model)) if format in ("keras", "h5") else found


def _own_layers(model: keras.Model) -> tuple[str, ...]:
    """Names of the classes of layers that are registered by tinybench."""
    kinds = {type(layer) for layer in model._flatten_layers()}
    return tuple(sorted(kind.__name__ for kind in kinds if kind.__module__.startswith("tinybench.")))


def _compared(path: Path, answer: Answer, pixels: Pixels, expected: NDArray[np.float32]) -> Exported:
    found = answer(pixels)
    difference = float(np.abs(found - expected).max())
    agreement = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"The exported model answers otherwise: probabilities differ by up to {difference:.3g} on {len(pixels)} "
            f"images, more than {TOLERANCE:g}. It was removed; export another format."
        )
    return Exported(path, len(pixels), difference, agreement)


def _files(path: Path) -> list[Path]:
    """What an export writes; OpenVINO puts the weights beside the graph."""
    return [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]


def _remove(path: Path) -> None:
    for file in _files(path):
        if file.is_dir():
            shutil.rmtree(file)
        file.unlink(missing_ok=True)


def _save(model: keras.Model, path: Path) -> None:
    absl = logging.getLogger("absl")
    before = absl.level
    absl.setLevel(logging.ERROR)  # that .h5 is an old format is known to who asks for it
    try:
        model.save(path)
    finally:
        absl.setLevel(before)


def _load(path: Path) -> Answer:
    model = models.load(path)
    return lambda pixels: np.asarray(model.predict(pixels, verbose=0))


def _save_graph(model: keras.Model, path: Path) -> None:
    model.export(path, format="tf_saved_model", verbose=False)


def _load_graph(path: Path) -> Answer:
    import tensorflow as tf

    graph = tf.saved_model.load(str(path))
    return lambda pixels: np.asarray(graph.serve(tf.constant(pixels, tf.float32)))


def _load_onnx(path: Path) -> Answer:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels.astype(np.float32)})[0])


def _save_openvino(model: keras.Model, path: Path) -> None:
    openvino = openvino_graph.import_openvino()
    with TemporaryDirectory() as folder:
        graph = openvino.Core().read_model(openvino_graph.save_frozen_graph(model, None, Path(folder)))
        openvino.save_model(graph, str(path), compress_to_fp16=False)


def _load_openvino(path: Path) -> Answer:
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino_graph.import_openvino().Core().compile_model(str(path), "CPU", options)
    return lambda pixels: np.asarray(compiled(pixels.astype(np.float32))[0])


FORMATS = {
    "keras": _Format(".keras", _save, _load),
    "h5": _Format(".h5", _save, _load),
    "savedmodel": _Format("", _save_graph, _load_graph),
    "onnx": _Format(".onnx", onnx_graph.save, _load_onnx, ("tf2onnx", "onnxruntime"), "onnx"),
    "openvino": _Format(".xml", _save_openvino, _load_openvino, ("openvino",), "openvino"),
}
