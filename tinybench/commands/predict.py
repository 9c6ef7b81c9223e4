"""Classify image files with a trained model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench.commands.image_files import find_images
from tinybench.commands.loaded_model import LoadedModel, load_model
from tinybench.core.errors import DataError
from tinybench.data.value_range import describe_misfit
from tinybench.inference.classifier import ImageClassifier, ModelInfo

_BATCH = 64


@dataclass(frozen=True)
class ImagePrediction:
    """The predicted classes of an image file.

    Attributes:
        path: The file.
        labels: Class names, the most probable first.
        probabilities: Their probabilities.
        error: Why the file could not be read; empty if it could.
        warning: What 16-bit values become that do not fit the model's `data.range`; empty if they do.
    """

    path: Path
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""
    warning: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as values for JSON."""
        if self.error:
            return {"path": str(self.path), "error": self.error}
        warning = {"warning": self.warning} if self.warning else {}
        return {"path": str(self.path), "labels": self.labels, "probabilities": self.probabilities, **warning}


def predict_images(
    source: str, images: Sequence[Path], *, top: int = 5, uri: str | None = None
) -> Iterator[ImagePrediction]:
    """Predict the classes of image files, a batch at a time.

    Args:
        source: A run, a phase of one, or a model such as `models:/name@champion`.
        images: Image files, and folders of them.
        top: Number of classes in a prediction.
        uri: The tracking store; MLflow's default if None.

    Returns:
        A prediction for each image, in order; one that cannot be read has an error instead of classes.

    Raises:
        DataError: A path does not exist, or there is no image at all.
        TrackingError: There is no such run or model, or tinybench did not make the model.
    """
    return _predict(load_model(source, uri), find_images(images), top)


def _predict(model: LoadedModel, paths: Sequence[Path], top: int) -> Iterator[ImagePrediction]:
    info = ModelInfo(model.class_names, model.shape, model.temperature, model.resize, model.value_range)
    classifier = ImageClassifier(model.model, info)
    for start in range(0, len(paths), _BATCH):
        batch = paths[start : start + _BATCH]
        pixels: list[NDArray[np.uint8]] = []
        errors: dict[Path, str] = {}
        warnings: dict[Path, str] = {}
        for path in batch:
            try:
                model.wide.clear()
                pixels.append(model.read_images([path])[0])
                if model.wide:
                    warnings[path] = describe_misfit(max(model.wide), model.value_range)
            except DataError as error:
                errors[path] = str(error)
        rows: Iterator[NDArray[np.float64]] = iter(classifier.probabilities(np.stack(pixels)) if pixels else [])
        for path in batch:
            if path in errors:
                yield ImagePrediction(path, error=errors[path])
            else:
                probabilities = next(rows)
                order = np.argsort(-probabilities, kind="stable")[:top]
                labels = tuple(model.class_names[label] for label in order)
                found = tuple(map(float, probabilities[order]))
                yield ImagePrediction(path, labels, found, warning=warnings.get(path, ""))
