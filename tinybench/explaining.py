"""Why a finished model decided so about some pictures: maps, drawn and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench import classifier as classifiers
from tinybench import data
from tinybench.classifier import Classifier
from tinybench.errors import ConfigError, ModelError
from tinybench.explain import faithfulness, gradcam, gradients
from tinybench.figures import explanations
from tinybench.figures.tables import as_csv
from tinybench.tracking import record
from tinybench.tracking.tracker import Tracker

RANDOM = "random map"

_PAGE = 8  # pictures on a page
_TEST_IMAGES = 8

Maps = dict[str, NDArray[np.floating[Any]]]


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
        layer: Of the backbone, for Grad-CAM; the last one with a map when None.
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
    titles, pixels = _pictures(run_id, places, model, uri)
    probabilities = np.asarray(model.model.predict(pixels, verbose=0))
    own = probabilities.argmax(axis=1) if label is None else np.full(len(pixels), model.names.index(label))
    maps = _maps(model, pixels, own, layer)  # all pictures at once: to trace a graph takes longer than to run it
    captions = [
        f"{title}\n{model.names[each]} {row[each]:.0%}"
        for title, each, row in zip(titles, own, probabilities, strict=True)
    ]
    files = _written(output, pixels, maps, captions, own)
    areas = _areas(model, pixels, own, maps)
    deletion, insertion = ({name: float(both[side].mean()) for name, both in areas.items()} for side in (0, 1))
    table = output / "faithfulness.csv"
    rows = ((name, deletion[name], insertion[name]) for name in deletion)
    table.write_text(as_csv(["method", "deletion", "insertion"], rows), encoding="utf-8")
    return Explained([*files, table], deletion, insertion)


def _pictures(
    run_id: str, places: Sequence[Path], model: Classifier, uri: str | None
) -> tuple[list[str], NDArray[np.uint8]]:
    """Titles and pixels of the given pictures, or of some test images."""
    if not places:
        return _test_images(run_id, uri)
    paths = classifiers.found(places)
    return [path.name for path in paths], model.pixels(paths)


def _test_images(run_id: str, uri: str | None) -> tuple[list[str], NDArray[np.uint8]]:
    if ":/" in run_id:
        raise ConfigError("A model has no test images: give --images, or a run.")
    tracker = Tracker.at(uri)
    config = record.config_of(tracker, tracker.top(run_id))
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    count = len(dataset.test)
    drawn = np.sort(np.random.default_rng(0).choice(count, min(_TEST_IMAGES, count), replace=False))
    return [f"is {dataset.class_names[each]}" for each in dataset.test.labels[drawn]], dataset.test.images(drawn)


def _maps(model: Classifier, pixels: NDArray[np.uint8], classes: NDArray[np.integer[Any]], layer: str | None) -> Maps:
    """By every method that the model allows: an ensemble of folds has no backbone for Grad-CAM to look into."""
    given = (model.model, pixels, classes)
    found: Maps = {
        "Gradient": gradients.vanilla(*given),
        "SmoothGrad": gradients.smooth(*given),
        "Integrated gradients": np.maximum(gradients.integrated(*given), 0),
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


def _areas(
    model: Classifier, pixels: NDArray[np.uint8], classes: NDArray[np.integer[Any]], maps: Maps
) -> dict[str, NDArray[np.float32]]:
    """Deletion and insertion of every picture (2, n) by method, and by chance."""
    chance = np.random.default_rng(0).random(pixels.shape[:3], np.float32)
    both = [
        partial(measure, model.model, pixels, classes) for measure in (faithfulness.deletion, faithfulness.insertion)
    ]
    return {name: np.stack([each(values) for each in both]) for name, values in (maps | {RANDOM: chance}).items()}


def _written(
    output: Path, pixels: NDArray[np.uint8], maps: Maps, captions: list[str], classes: NDArray[np.integer[Any]]
) -> list[Path]:
    """Some pictures a page, and the arrays of all."""
    files = []
    for number, start in enumerate(range(0, len(pixels), _PAGE), 1):
        page = slice(start, start + _PAGE)
        shown = {name: values[page] for name, values in maps.items()}
        figure = explanations.panels(pixels[page], shown, captions[page], overlaid=("Grad-CAM", "Grad-CAM++"))
        files.append(output / f"explanations_{number}.png")
        figure.savefig(files[-1], dpi=120)
    files.append(output / "explanations.npz")
    np.savez_compressed(files[-1], allow_pickle=False, images=pixels, classes=classes, **_stored(maps))
    return files


def _stored(maps: Maps) -> dict[str, Any]:
    return {
        name.lower().replace("-", "_").replace(" ", "_").replace("++", "_plus_plus"): each
        for name, each in maps.items()
    }
