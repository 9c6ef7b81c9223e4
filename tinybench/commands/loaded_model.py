"""Load the model of a run, or a logged or registered model, with what is needed to use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from tinybench import models
from tinybench.core.errors import DataError
from tinybench.data import images
from tinybench.tracking import logged_model, references, run_record
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LoadedModel:
    """A trained model with what is needed to use it.

    Attributes:
        model: Raw pixels to probabilities.
        class_names: One name per output of the model.
        shape: Height, width and channels of the images that it takes.
        temperature: The temperature at which its probabilities are calibrated.
        resize: How images of another size are resized, see `data.images.resize`.
        value_range: How values of 16 bits are converted, see `data.value_range.to_eight_bits`.
        wide: The largest value of each image of 16 bits that was read.
    """

    model: keras.Model
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    temperature: float = 1.0
    resize: str = "squash"
    value_range: str = "full"
    wide: list[int] = field(default_factory=list)

    def read_images(self, paths: Sequence[Path]) -> NDArray[np.uint8]:
        """Return the pixels of image files, resized to the model's input, (n, height, width, channels).

        Raises:
            DataError: A file cannot be read.
        """
        return np.stack([self._read_image(path) for path in paths])

    def _read_image(self, path: Path) -> NDArray[np.uint8]:
        try:
            channels: Literal[1, 3] = 1 if self.shape[2] == 1 else 3
            data, value_range = path.read_bytes(), self.value_range
            pixels = images.decode(data, channels=channels, value_range=value_range, on_wide=self.wide.append)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise DataError(f"{path} cannot be read: {error}. Convert it, or leave it out.") from error
        return images.resize(pixels, self.shape[:2], self.resize)


def load_model(source: str, uri: str | None = None) -> LoadedModel:
    """Load a trained model.

    Args:
        source: A run, a phase of one, or a model such as `models:/name@champion`.
        uri: The tracking store; MLflow's default if None.

    Raises:
        TrackingError: There is no such run or model, or tinybench did not make the model.
    """
    tracker = Tracker.at(uri)
    if source.startswith(("models:/", "runs:/")):
        with logged_model.download(source) as files:
            info = files.info
            model = models.load(files.keras_path)
            return LoadedModel(model, info.labels, info.shape, info.temperature, info.resize, info.value_range)
    source = references.find_run_id(tracker, source)
    top = tracker.find_top_run(source)
    temperature = run_record.find_final_run(tracker, source).data.metrics.get("best/temperature", 1.0)
    class_names, shape = run_record.read_class_names(tracker, top), run_record.read_image_shape(tracker, top)
    settings = run_record.read_config(tracker, top).data
    model = run_record.load_final_model(tracker, source)
    return LoadedModel(model, class_names, shape, temperature, settings.resize, settings.range)
