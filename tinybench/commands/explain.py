"""Explain predictions of a trained model by maps, and measure how faithful the maps are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench import data
from tinybench.commands.image_files import find_images
from tinybench.commands.loaded_model import LoadedModel, load_model
from tinybench.core.csv_text import to_csv
from tinybench.core.errors import ConfigError, ModelError
from tinybench.core.name_text import find_name
from tinybench.core.suggestion import suggest
from tinybench.data.dataset import sample_rows
from tinybench.explain import faithfulness, feature_maps, gradcam, gradients
from tinybench.plots import explanation_grid, feature_map_grid
from tinybench.tracking import references, run_record
from tinybench.tracking.tracker import Tracker

_IMAGES_PER_PLOT = 8
_CHUNK = 64  # images whose maps are computed together; they fit into memory, and tracing a graph is slow
_TEST_IMAGES = 8
_DPI = 120

Maps = dict[str, NDArray[np.floating[Any]]]


@dataclass(frozen=True)
class Explanation:
    """The files of an explanation, and how faithful its maps are.

    Attributes:
        files: Plots and their data.
        deletion: Area under the deletion curve by method, the mean over images; lower is better.
        insertion: Area under the insertion curve by method, the mean over images; higher is better.
    """

    files: list[Path]
    deletion: dict[str, float] = field(default_factory=dict)
    insertion: dict[str, float] = field(default_factory=dict)


def explain_run(
    source: str,
    images: Sequence[Path],
    output: Path,
    *,
    layer: str | None = None,
    label: str | None = None,
    uri: str | None = None,
) -> Explanation:
    """Plot maps of images, or of some test images if none are given, and measure how faithful the maps are.

    Args:
        source: A finished run, a phase of one or, if images are given, a model such as `models:/name@champion`.
        images: Image files, and folders of them.
        output: The folder to write to.
        layer: The layer of the backbone for Grad-CAM, whose feature maps are plotted as well; the last one with a
            map if None.
        label: The class to explain; the predicted class of each image if None.
        uri: The tracking store; MLflow's default if None.

    Raises:
        ConfigError: The model has no such class, or a model is given without images.
        DataError: An image cannot be read.
        ModelError: There is no such layer.
        TrackingError: There is no such run, or it has no model.
    """
    model = load_model(source, uri)
    explained = None if label is None else find_name(label, model.class_names)
    if label is not None and explained is None:
        near = suggest(label, model.class_names)
        raise ConfigError(f"Invalid value for `--label`: expected one of the model's classes, got {label!r}.{near}")
    files: list[Path] = []
    areas: list[dict[str, NDArray[np.float32]]] = []
    plot_numbers, image_numbers = count(1), count(1)
    for titles, pixels in _read_chunks(source, images, model, uri):
        _make_folder(output)  # not before: images that cannot be read leave no folder
        classes, captions = _choose_classes(model, titles, pixels, explained)
        maps = _compute_maps(model, pixels, classes, layer)
        files += _write_maps(output, plot_numbers, pixels, maps, captions, classes)
        if layer is not None:
            files += _write_feature_maps(output, image_numbers, model, pixels, captions, layer)
        areas.append(faithfulness.measure_areas(model.model, pixels, classes, maps))
    deletion, insertion = (
        {method: float(np.concatenate([chunk[method][curve] for chunk in areas]).mean()) for method in areas[0]}
        for curve in (0, 1)
    )
    table = output / "faithfulness.csv"
    rows = ((method, deletion[method], insertion[method]) for method in deletion)
    table.write_text(to_csv(["method", "deletion", "insertion"], rows), encoding="utf-8")
    return Explanation([*files, table], deletion, insertion)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"Cannot write to {folder}: {error.strerror}. Choose another --output.") from error


def _read_chunks(
    source: str, images: Sequence[Path], model: LoadedModel, uri: str | None
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Yield titles and pixels of the given images in chunks, or of some test images if none are given."""
    if not images:
        yield _read_test_images(source, uri)
        return
    paths = find_images(images)
    for start in range(0, len(paths), _CHUNK):
        chunk = paths[start : start + _CHUNK]
        yield [path.name for path in chunk], model.read_images(chunk)


def _read_test_images(source: str, uri: str | None) -> tuple[list[str], NDArray[np.uint8]]:
    if ":/" in source:
        raise ConfigError("A model has no test images: give --images, or a run.")
    tracker = Tracker.at(uri)
    run = tracker.find_top_run(references.find_run_id(tracker, source))
    config = run_record.read_config(tracker, run)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    indices = np.sort(sample_rows(len(dataset.test), _TEST_IMAGES))
    titles = [f"is {dataset.class_names[label]}" for label in dataset.test.labels[indices]]
    return titles, dataset.test.images(indices)


def _choose_classes(
    model: LoadedModel, titles: list[str], pixels: NDArray[np.uint8], label: int | None
) -> tuple[NDArray[np.integer[Any]], list[str]]:
    """Return the class of each image that is explained, and a caption with its probability."""
    probabilities = np.asarray(model.model.predict(pixels, verbose=0))
    classes = probabilities.argmax(axis=1)
    if label is not None:
        classes = np.full(len(pixels), label)
    explained = probabilities[np.arange(len(classes)), classes]
    captions = [
        f"{title}\n{model.class_names[number]} ({probability:.0%})"
        for title, number, probability in zip(titles, classes, explained, strict=True)
    ]
    return classes, captions


def _compute_maps(
    model: LoadedModel, pixels: NDArray[np.uint8], classes: NDArray[np.integer[Any]], layer: str | None
) -> Maps:
    """Compute maps by every method that the model allows; an ensemble of folds has no backbone for Grad-CAM."""
    inputs = (model.model, pixels, classes)
    maps: Maps = {
        "Gradient": gradients.vanilla_gradient(*inputs),
        "SmoothGrad": gradients.smooth_grad(*inputs),
        "Integrated gradients": np.maximum(gradients.integrated_gradients(*inputs), 0),
    }
    cams: dict[str, Callable[..., Any]] = {"Grad-CAM": gradcam.grad_cam, "Grad-CAM++": gradcam.grad_cam_plus_plus}
    try:
        return maps | {method: compute(*inputs, layer) for method, compute in cams.items()}
    except ModelError:
        if layer is not None:
            raise
        return maps


def _write_maps(
    output: Path,
    numbers: Iterator[int],
    pixels: NDArray[np.uint8],
    maps: Maps,
    captions: list[str],
    classes: NDArray[np.integer[Any]],
) -> Iterator[Path]:
    """Write plots of a few images each, and their arrays; yield the paths."""
    for start in range(0, len(pixels), _IMAGES_PER_PLOT):
        rows, file = slice(start, start + _IMAGES_PER_PLOT), output / f"explanations_{next(numbers)}.png"
        plotted = {method: values[rows] for method, values in maps.items()}
        overlaid = ("Grad-CAM", "Grad-CAM++")
        figure = explanation_grid.plot_explanations(pixels[rows], plotted, captions[rows], overlaid=overlaid)
        figure.savefig(file, dpi=_DPI)
        named: dict[str, Any] = {_array_name(method): values for method, values in plotted.items()}
        arrays = file.with_suffix(".npz")
        np.savez_compressed(arrays, allow_pickle=False, images=pixels[rows], classes=classes[rows], **named)
        yield from (file, arrays)


def _array_name(method: str) -> str:
    """Return the name of a method's array in an `.npz` file, such as `grad_cam_plus_plus`."""
    return method.lower().replace("-", "_").replace(" ", "_").replace("++", "_plus_plus")


def _write_feature_maps(
    output: Path,
    numbers: Iterator[int],
    model: LoadedModel,
    pixels: NDArray[np.uint8],
    captions: list[str],
    layer: str,
) -> Iterator[Path]:
    """Write a plot of the feature maps of each image, and its arrays; yield the paths."""
    layer_maps = feature_maps.compute_feature_maps(model.model, pixels, layer)
    for image, image_maps, caption in zip(pixels, layer_maps, captions, strict=True):
        file = output / f"feature_maps_{next(numbers)}.png"
        title = f"Feature maps of {layer} for {', '.join(caption.splitlines())}"
        feature_map_grid.plot_feature_maps(image, image_maps, title).savefig(file, dpi=_DPI)
        arrays = file.with_suffix(".npz")
        np.savez_compressed(arrays, allow_pickle=False, image=image, maps=image_maps)
        yield from (file, arrays)
