"""Why a finished model decided so about some pictures: maps, drawn and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench import data
from tinybench.commands import predict as classifiers
from tinybench.commands.predict import Classifier
from tinybench.core.csv_text import as_csv
from tinybench.core.errors import ConfigError, ModelError
from tinybench.explain import faithfulness, gradcam, gradients
from tinybench.explain import feature_maps as inside
from tinybench.plots import explanation_grid, feature_map_grid
from tinybench.tracking import run_record
from tinybench.tracking.tracker import Tracker

_PAGE = 8  # pictures on a page
_AT_ONCE = 8 * _PAGE  # to trace a graph takes longer than to run it
_TEST_IMAGES = 8
_DPI = 120

Maps = dict[str, NDArray[np.floating[Any]]]
Areas = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Explained:
    """What an explanation left.

    Attributes:
        files: Pages and their data.
        deletion: Area by method, the mean over pictures; the lower, the better the map.
        insertion: Area by method; the higher, the better the map.
    """

    files: list[Path]
    deletion: dict[str, float] = field(default_factory=dict)
    insertion: dict[str, float] = field(default_factory=dict)


def explain(
    run_id: str,
    places: Sequence[Path],
    output: Path,
    *,
    layer: str | None = None,
    label: str | None = None,
    uri: str | None = None,
) -> Explained:
    """Draw maps of pictures, or of some test images where none are given, and judge the maps.

    Args:
        run_id: A finished run, or a phase of one; or a model such as `models:/name@champion`, with pictures.
        places: Pictures and folders.
        output: Folder to write to.
        layer: Of the backbone, for Grad-CAM, its depth slices are drawn too; the last one with a map when None.
        label: The class to explain; the one that each picture is taken for when None.
        uri: The store that holds the run; MLflow's default when None.

    Raises:
        ConfigError: the model has no such class.
        DataError: a picture that cannot be read.
        ModelError: no such layer.
        TrackingError: there is no such run, or it holds no model.
    """
    model = classifiers.load(run_id, uri)
    if label is not None and label not in model.names:
        raise ConfigError(f"Invalid value for `--label`: expected one of the model's classes, got {label!r}.")
    output.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    areas: list[Areas] = []
    pages = count(1)
    for titles, pixels in _turns(run_id, places, model, uri):
        own, captions = _explained(model, titles, pixels, label)
        maps = _maps(model, pixels, own, layer)
        files += _written(output, pages, pixels, maps, captions, own)
        if layer is not None:
            files += _slices(output, len(areas) * _AT_ONCE, model, pixels, captions, layer)
        areas.append(faithfulness.measure_areas(model.model, pixels, own, maps))
    deletion, insertion = (
        {name: float(np.concatenate([each[name][side] for each in areas]).mean()) for name in areas[0]}
        for side in (0, 1)
    )
    table = output / "faithfulness.csv"
    rows = ((name, deletion[name], insertion[name]) for name in deletion)
    table.write_text(as_csv(["method", "deletion", "insertion"], rows), encoding="utf-8")
    return Explained([*files, table], deletion, insertion)


def _turns(
    run_id: str, places: Sequence[Path], model: Classifier, uri: str | None
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Titles and pixels of the given pictures, or of some test images, as many at a time as memory surely holds."""
    if not places:
        yield _test_images(run_id, uri)
        return
    paths = classifiers.found(places)
    for start in range(0, len(paths), _AT_ONCE):
        turn = paths[start : start + _AT_ONCE]
        yield [path.name for path in turn], model.pixels(turn)


def _test_images(run_id: str, uri: str | None) -> tuple[list[str], NDArray[np.uint8]]:
    if ":/" in run_id:
        raise ConfigError("A model has no test images: give --images, or a run.")
    tracker = Tracker.at(uri)
    config = run_record.read_config(tracker, tracker.find_top_run(run_id))
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    images = len(dataset.test)
    drawn = np.sort(np.random.default_rng(0).choice(images, min(_TEST_IMAGES, images), replace=False))
    return [f"is {dataset.class_names[each]}" for each in dataset.test.labels[drawn]], dataset.test.images(drawn)


def _explained(
    model: Classifier, titles: list[str], pixels: NDArray[np.uint8], label: str | None
) -> tuple[NDArray[np.integer[Any]], list[str]]:
    """The class of each picture that is explained, and words with its probability."""
    probabilities = np.asarray(model.model.predict(pixels, verbose=0))
    own = probabilities.argmax(axis=1) if label is None else np.full(len(pixels), model.names.index(label))
    sure = probabilities[np.arange(len(own)), own]
    return own, [
        f"{title}\n{model.names[each]} {share:.0%}" for title, each, share in zip(titles, own, sure, strict=True)
    ]


def _maps(model: Classifier, pixels: NDArray[np.uint8], classes: NDArray[np.integer[Any]], layer: str | None) -> Maps:
    """By every method that the model allows: an ensemble of folds has no backbone for Grad-CAM to look into."""
    given = (model.model, pixels, classes)
    found: Maps = {
        "Gradient": gradients.vanilla_gradient(*given),
        "SmoothGrad": gradients.smooth_grad(*given),
        "Integrated gradients": np.maximum(gradients.integrated_gradients(*given), 0),
    }
    try:
        cams: dict[str, Callable[..., Any]] = {
            "Grad-CAM": gradcam.grad_cam,
            "Grad-CAM++": gradcam.grad_cam_plus_plus,
        }
        return found | {name: method(*given, layer) for name, method in cams.items()}
    except ModelError:
        if layer is not None:
            raise
        return found


def _written(
    output: Path,
    pages: Iterator[int],
    pixels: NDArray[np.uint8],
    maps: Maps,
    captions: list[str],
    classes: NDArray[np.integer[Any]],
) -> Iterator[Path]:
    """Some pictures a page, with its arrays beside it."""
    for start in range(0, len(pixels), _PAGE):
        page, file = slice(start, start + _PAGE), output / f"explanations_{next(pages)}.png"
        shown = {name: values[page] for name, values in maps.items()}
        figure = explanation_grid.plot_explanations(pixels[page], shown, captions[page], overlaid=("Grad-CAM", "Grad-CAM++"))
        figure.savefig(file, dpi=_DPI)
        arrays = file.with_suffix(".npz")
        np.savez_compressed(arrays, allow_pickle=False, images=pixels[page], classes=classes[page], **_stored(shown))
        yield from (file, arrays)


def _slices(
    output: Path, before: int, model: Classifier, pixels: NDArray[np.uint8], captions: list[str], layer: str
) -> Iterator[Path]:
    """What the chosen layer makes of each picture, with its arrays beside it."""
    found = inside.compute_feature_maps(model.model, pixels, layer)
    for number, (image, slices, caption) in enumerate(zip(pixels, found, captions, strict=True), before + 1):
        file = output / f"feature_maps_{number}.png"
        title = f"{' is '.join(caption.splitlines())}: depth slices of {layer}"
        feature_map_grid.plot_feature_maps(image, slices, title).savefig(file, dpi=_DPI)
        arrays = file.with_suffix(".npz")
        np.savez_compressed(arrays, allow_pickle=False, image=image, maps=slices)
        yield from (file, arrays)


def _stored(maps: Maps) -> dict[str, Any]:
    return {
        name.lower().replace("-", "_").replace(" ", "_").replace("++", "_plus_plus"): each
        for name, each in maps.items()
    }
