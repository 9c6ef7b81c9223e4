"""A trained model on pictures of one's own: what it takes them for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinybench import models
from tinybench.core.errors import DataError
from tinybench.data import images
from tinybench.inference.classifier import About, Answerer
from tinybench.tracking import logged_model, run_record
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    import keras

_BATCH = 64
_NAMED = 3


@dataclass(frozen=True)
class Classifier:
    """A model with what is needed to use it.

    Attributes:
        model: Pixels to probabilities.
        names: Of its classes.
        shape: Height, width and channels of its images.
        temperature: At which its probabilities are calibrated.
    """

    model: keras.Model
    names: tuple[str, ...]
    shape: tuple[int, int, int]
    temperature: float = 1.0

    def pixels(self, paths: Sequence[Path]) -> NDArray[np.uint8]:
        """Pictures as the model takes them, (n, *shape).

        Raises:
            DataError: one cannot be read.
        """
        return np.stack([self._read(path) for path in paths])

    def _read(self, path: Path) -> NDArray[np.uint8]:
        try:
            found = images.decode(path.read_bytes(), channels=1 if self.shape[2] == 1 else 3)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise DataError(f"{path} cannot be read: {error}. Convert it, or leave it out.") from error
        return images.resize(found, self.shape[:2])


@dataclass(frozen=True)
class Prediction:
    """What a picture is taken for.

    Attributes:
        path: The picture.
        labels: The likeliest classes first.
        probabilities: Theirs.
        error: Why it has none; empty where it has.
    """

    path: Path
    labels: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        if self.error:
            return {"path": str(self.path), "error": self.error}
        return {"path": str(self.path), "labels": self.labels, "probabilities": self.probabilities}


def load(source: str, uri: str | None = None) -> Classifier:
    """The classifier of a run or of a logged model.

    Args:
        source: A run, a phase of one, or a model such as `models:/name@champion`.
        uri: The store that holds it; MLflow's default when None.

    Raises:
        TrackingError: there is no such run or model, or it holds no model of ours.
    """
    tracker = Tracker.at(uri)
    if source.startswith(("models:/", "runs:/")):
        with logged_model.download(source) as files:
            return Classifier(models.load(files.keras_path), files.metadata.labels, files.metadata.shape, files.metadata.temperature)
    top = tracker.find_top_run(source)
    temperature = run_record.find_final_run(tracker, source).data.metrics.get("best/temperature", 1.0)
    names, shape = run_record.read_class_names(tracker, top), run_record.read_image_shape(tracker, top)
    return Classifier(run_record.load_final_model(tracker, source), names, shape, temperature)


def found(places: Sequence[Path]) -> list[Path]:
    """Pictures by their paths, and those in folders, at any depth, in order.

    Raises:
        DataError: a path that is not there, or no picture at all.
    """
    listed = [path for place in places for path in _within(place)]
    if not listed:
        endings = ", ".join(images.SUFFIXES)
        raise DataError(f"There is no picture in {', '.join(map(str, places[:_NAMED]))}: expected {endings} files.")
    return listed


def left_out(places: Sequence[Path]) -> str:
    """Pictures in folders that `found` does not take, in words; empty where there are none."""
    unread = Counter(
        path.suffix.lower()
        for place in places
        if place.is_dir()
        for path in place.rglob("*")
        if path.suffix.lower() in images.UNSUPPORTED_SUFFIXES and path.is_file()
    )
    counted = ", ".join(f"{count} {suffix}" for suffix, count in sorted(unread.items()))
    return f"{counted} file(s) are left out: only JPEG, PNG, BMP and WebP are read." if counted else ""


def predict(classifier: Classifier, paths: Sequence[Path], top: int = 5) -> Iterator[Prediction]:
    """The likeliest classes of each picture, a batch at a time; one that cannot be read has an error instead."""
    asked = Answerer(classifier.model, About(classifier.names, classifier.shape, classifier.temperature))
    for start in range(0, len(paths), _BATCH):
        read = [_pixels_or_error(classifier, path) for path in paths[start : start + _BATCH]]
        pixels = [found for found in read if not isinstance(found, str)]
        rows: Iterator[NDArray[np.float64]] = iter(asked.probabilities(np.stack(pixels)) if pixels else [])
        for path, found in zip(paths[start : start + _BATCH], read, strict=True):
            yield (
                Prediction(path, error=found) if isinstance(found, str) else _answer(classifier, path, next(rows), top)
            )


def _pixels_or_error(classifier: Classifier, path: Path) -> NDArray[np.uint8] | str:
    try:
        pixels: NDArray[np.uint8] = classifier.pixels([path])[0]
        return pixels
    except DataError as error:
        return str(error)


def _answer(classifier: Classifier, path: Path, row: NDArray[np.floating[Any]], top: int) -> Prediction:
    places = np.argsort(-row, kind="stable")[:top]
    return Prediction(path, tuple(classifier.names[each] for each in places), tuple(map(float, row[places])))


def _within(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from sorted(
            path for path in place.rglob("*") if path.suffix.lower() in images.SUFFIXES and path.is_file()
        )
    elif place.exists():
        yield place
    else:
        raise DataError(f"There is no {place}.")
