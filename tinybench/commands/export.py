"""Export the model of a run to another format, load it again, and compare its predictions with the original's."""

from __future__ import annotations

import importlib.util
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench import data
from tinybench.commands.export_formats import EXPORTERS, Exporter, ExportSource
from tinybench.commands.export_metadata import Metadata, describe_export, to_json
from tinybench.commands.export_suffixes import SUFFIXES, choose_format
from tinybench.core import interruption
from tinybench.core.errors import ExportError, format_error
from tinybench.data.dataset import sample_rows
from tinybench.evaluation.paired_difference import accuracy_difference
from tinybench.tracking import references, run_record
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from tinybench.data.dataset import Split

TOLERANCE = 1e-3
"""Largest allowed difference of a probability between the exported model and the original, in float32."""
_IMAGES = 64  # to compare two models that shall be the same
_QUANTIZED_IMAGES = 1000  # to measure how much accuracy a quantized model loses
_CALIBRATION_IMAGES = 128


@dataclass(frozen=True)
class ModelAgreement:
    """The agreement of an exported model with the original.

    Attributes:
        images: Number of test images on which the models were compared.
        difference: Largest difference of a probability.
        agreement: Share of images with the same most probable class.
        accuracy: The exported model's accuracy on these images.
        accuracy_of_original: The original's.
        accuracy_difference: The first minus the second.
        accuracy_difference_low: Lower end of its 95 % interval.
        accuracy_difference_high: Upper end of it.
    """

    images: int
    difference: float
    agreement: float
    accuracy: float
    accuracy_of_original: float
    accuracy_difference: float
    accuracy_difference_low: float
    accuracy_difference_high: float


@dataclass(frozen=True)
class ExportedModel:
    """An exported model and how well it agrees with the original.

    Attributes:
        path: The file or folder that was written.
        metadata_path: The JSON file beside it, with all that is written here.
        metadata: The model's input, classes and origin, which are inside the model's file as well.
        agreement: How well it agrees with the original.
        quantized: Whether it is judged by its accuracy rather than by its probabilities.
        custom_layers: Layers of tinybench that Keras must know to load the model.
    """

    path: Path
    metadata_path: Path
    metadata: Metadata
    agreement: ModelAgreement
    quantized: bool = False
    custom_layers: tuple[str, ...] = field(default=())


def export_model(
    run_id: str,
    format: str | None = None,
    *,
    output: Path | None = None,
    license: str | None = None,
    uri: str | None = None,
) -> ExportedModel:
    """Export the model of a finished run.

    Args:
        run_id: A run, or a phase of one, whose own model is exported.
        format: One of `SUFFIXES`; that of the output's suffix, or `keras`, if None.
        output: The file or folder to write, which must not exist; `model` with the format's suffix if None.
        license: The license that is written into the metadata; `unknown` if None.
        uri: The tracking store; MLflow's default if None.

    Raises:
        ConfigError: There is no such format, or the output's suffix is that of another one.
        DataError: The run's data, which the models are compared on, are not available.
        ExportError: The path exists, an extra is not installed, the format cannot hold the model, or the exported
            model predicts something else than the original; it is then removed.
        TrackingError: There is no such run, or it has no model.
    """
    format = choose_format(format, output)
    exporter, path = EXPORTERS[format], output or Path(f"model{SUFFIXES[format]}")
    _check_export(format, exporter, path)
    tracker = Tracker.at(uri)
    run_id = references.find_run_id(tracker, run_id)
    config = run_record.read_config(tracker, tracker.find_top_run(run_id))
    model = run_record.load_final_model(tracker, run_id)
    metadata = describe_export(tracker, run_id, model, format=format, dtype=exporter.dtype, license=license)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    source = ExportSource(model, metadata)
    if exporter.quantized:  # on training images: test images decide nothing about a model
        source = ExportSource(model, metadata, _sample(dataset.train, _CALIBRATION_IMAGES)[0])
    pixels, labels = _sample(dataset.test, _QUANTIZED_IMAGES if exporter.quantized else _IMAGES)
    expected = np.asarray(model.predict(pixels, verbose=0))  # first: some exporters need a model that has been called
    created = _make_folder(path.parent)
    try:
        with interruption.restored():
            exporter.write(source, path)
            agreement = _compare(exporter.read(path)(pixels), expected, labels)
        _check_agreement(agreement, exporter)
        content = {**metadata, "comparison": _describe_comparison(agreement, source)}
        _metadata_path(path).write_text(to_json(content), "utf-8")
    except BaseException as error:  # exporters and runtimes raise many kinds
        _remove(path)
        with suppress(OSError):  # something else has been written there
            for folder in created:
                folder.rmdir()
        if isinstance(error, ExportError) or not isinstance(error, Exception):
            raise
        raise ExportError(f"The model cannot be exported to {format}: {format_error(error)}") from error
    custom_layers = _custom_layers(model) if format in ("keras", "h5") else ()
    return ExportedModel(path, _metadata_path(path), content, agreement, exporter.quantized, custom_layers)


def _check_export(format: str, exporter: Exporter, path: Path) -> None:
    """Raise ExportError if an extra is not installed, or a path exists that would be written."""
    if any(importlib.util.find_spec(package) is None for package in exporter.packages):
        extra = exporter.extra
        raise ExportError(f"Exporting to {format} needs the extra {extra}: pip install 'tinybench[{extra}]'.")
    for file in filter(Path.exists, _written_files(path)):
        raise ExportError(f"{file} is there already: give another --output, or remove it.")


def _make_folder(folder: Path) -> list[Path]:
    """Create a folder, and return those that were missing, the innermost first.

    Raises:
        ExportError: It cannot be created.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"Cannot write to {folder}: {error.strerror}. Give another --output.") from error
    return missing


def _sample(split: Split, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return pixels and labels of some random images of a split."""
    rows = np.sort(sample_rows(len(split), count))
    return split.images(rows), split.labels[rows]


def _compare(
    predicted: NDArray[np.float32], expected: NDArray[np.float32], labels: NDArray[np.int32]
) -> ModelAgreement:
    """Compare the probabilities (n, classes) of the exported model with those of the original."""
    classes, expected_classes = predicted.argmax(axis=1), expected.argmax(axis=1)
    correct, expected_correct = classes == labels, expected_classes == labels
    return ModelAgreement(
        len(labels),
        float(np.abs(predicted - expected).max()),
        float((classes == expected_classes).mean()),
        float(correct.mean()),
        float(expected_correct.mean()),
        *accuracy_difference(correct, expected_correct),
    )


def _check_agreement(agreement: ModelAgreement, exporter: Exporter) -> None:
    """Raise ExportError if probabilities differ by more than float32 explains, or are not finite."""
    if not np.isfinite(agreement.difference) or (agreement.difference > TOLERANCE and not exporter.quantized):
        raise ExportError(
            f"The exported model predicts something else: probabilities differ by up to {agreement.difference:.3g} on "
            f"{agreement.images} images, more than {TOLERANCE:g}. It was removed; export another format."
        )


def _describe_comparison(agreement: ModelAgreement, source: ExportSource) -> dict[str, Any]:
    """Return the comparison with the original, and what was calibrated on, for JSON."""
    calibration = {"split": "train", "images": len(source.calibration)} if len(source.calibration) else None
    return {"split": "test", **vars(agreement), "calibration": calibration}


def _custom_layers(model: keras.Model) -> tuple[str, ...]:
    """Return the names of tinybench's own layer classes in a model."""
    classes = {type(layer) for layer in model._flatten_layers()}
    return tuple(sorted(cls.__name__ for cls in classes if cls.__module__.startswith("tinybench.")))


def _metadata_path(path: Path) -> Path:
    """Return the path of the JSON file beside an export, such as `model.onnx.json`."""
    return path.with_name(f"{path.name}.json")


def _written_files(path: Path) -> list[Path]:
    """Return the paths that an export writes; OpenVINO writes the weights next to the graph."""
    return [path, *([path.with_suffix(".bin")] if path.suffix == ".xml" else []), _metadata_path(path)]


def _remove(path: Path) -> None:
    """Remove what an export wrote."""
    for file in _written_files(path):
        if file.is_dir():
            shutil.rmtree(file)
        file.unlink(missing_ok=True)
