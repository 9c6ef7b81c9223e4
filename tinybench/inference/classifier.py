"""Classify images in any form: MLflow's server and ours share this code, and the reload check compares it.

It imports neither MLflow nor HTTP libraries, since it is stored with every model.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinybench.data import images as image_files
from tinybench.data import value_range
from tinybench.inference import image_inputs
from tinybench.inference.image_inputs import MAX_PIXELS, ImageError

if TYPE_CHECKING:
    import keras

MAX_IMAGES = 1024  # of a request
MAX_TOTAL_PIXELS = 400_000_000  # of a request: some ten seconds to decode
_BATCH = 64
_SMALL = 0.5  # images below this share of the training images' size get a warning
_MAX_WARM_UP_BATCH = 8  # batch sizes before the first request: 1, 2, 4, 8
_MIN_PROBABILITY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class ModelInfo:
    """The labels, input shape and temperature that are stored with a model.

    Attributes:
        labels: The class names, in the order of the model's outputs.
        shape: Height, width and channels of the images that the model takes.
        temperature: The logits are divided by it.
        resize: How images of another size are resized, see `data.images.resize`.
        value_range: How values of 16 bits are converted, see `data.value_range.to_eight_bits`.
    """

    labels: tuple[str, ...]
    shape: tuple[int, int, int]
    temperature: float = 1.0
    resize: str = "squash"
    value_range: str = value_range.FULL

    def as_json(self) -> str:
        """Return the information as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Return the information that `as_json` wrote."""
        values = json.loads(text)
        height, width, channels = values["shape"]
        temperature = float(values.get("temperature", 1.0))
        resize, kept_range = values.get("resize", "squash"), values.get("value_range", value_range.FULL)
        return cls(tuple(values["labels"]), (height, width, channels), temperature, resize, kept_range)


@dataclass(frozen=True)
class Classification:
    """The most probable labels of an image.

    Attributes:
        labels: The most probable first.
        probabilities: Of these labels, at the model's temperature.
        model_version: The version of the model.
        warnings: Reasons to trust the result less.
    """

    labels: list[str]
    probabilities: list[float]
    model_version: str
    warnings: list[str] = field(default_factory=list)


class PixelBudget:
    """A number of pixels that threads share; a thread that needs more than is free waits.

    Args:
        total: The number of pixels.
    """

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()

    @contextmanager
    def acquire(self, pixels: int) -> Iterator[None]:
        """Reserve pixels for the block; more than the total reserves the total."""
        reserved = min(pixels, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= reserved)
            self._free -= reserved
        try:
            yield
        finally:
            with self._changed:
                self._free += reserved
                self._changed.notify_all()


class ImageClassifier:
    """A loaded model that classifies images; several threads may use it.

    Args:
        model: uint8 pixels (n, height, width, channels) to probabilities (n, classes).
        info: What is stored beside its weights.
        version: The version of the model.
    """

    def __init__(self, model: keras.Model, info: ModelInfo, version: str = "") -> None:
        import keras

        names = [layer.name for layer in model.layers]
        self._has_logits = "logits" in names  # as in evaluation: `evaluation.predict_split`
        self._graph = keras.Model(model.inputs, model.get_layer("logits").output) if self._has_logits else model
        self._predict_lock = threading.Lock()
        self._budget = PixelBudget(MAX_PIXELS)  # decoding takes some ten bytes a pixel
        self.info = info
        self.version = version

    @classmethod
    def load(cls, model: Path, info: Path, version: str = "") -> ImageClassifier:
        """Load a classifier from the files that are stored with a model."""
        from tinybench import models

        return cls(models.load(model), ModelInfo.from_json(info.read_text("utf-8")), version)

    def warm_up(self) -> None:
        """Classify black images, so that the first client does not wait for graphs to be traced."""
        size = 1
        while size <= _MAX_WARM_UP_BATCH:
            self.probabilities(np.zeros((size, *self.info.shape), np.uint8))
            size *= 2

    def __call__(self, images: Sequence[Any], top_k: int = 5) -> list[Classification]:
        """Return the most probable labels of images.

        Args:
            images: Each encoded (bytes, or base64 text), or pixels as nested lists or an array; also the rows of one
                image, see `image_inputs.list_images`.
            top_k: The number of labels for each.

        Raises:
            ImageError: An image cannot be read, there are none or too many, or one cannot be told from several.
        """
        if isinstance(top_k, bool) or not isinstance(top_k, (int, np.integer)) or top_k < 1:
            raise ImageError(f"Expected top_k as a whole number of at least 1, got {str(top_k)[:40]!r}.")
        if not len(images):
            raise ImageError("Expected at least one image, got none.")
        images = image_inputs.list_images(images, self.info.shape)
        if len(images) > MAX_IMAGES:
            raise ImageError(f"Expected at most {MAX_IMAGES:,} images at once, got {len(images):,}.")
        pixels = np.empty((len(images), *self.info.shape), np.uint8)
        warnings, total_pixels = [], 0
        for index, item in enumerate(images):
            try:
                image = image_inputs.decode_base64(item) if isinstance(item, str) else item
                size = image_inputs.count_pixels(image)
                total_pixels += size
                if total_pixels <= MAX_TOTAL_PIXELS:
                    with self._budget.acquire(size):
                        pixels[index], image_warnings = self._fit(image)
                    warnings.append(image_warnings)
            except ValueError as error:
                subject = f"Image {index + 1} of {len(images)}" if len(images) > 1 else "The image"
                raise ImageError(f"{subject} cannot be used: {str(error).rstrip('.')}.") from None
            if total_pixels > MAX_TOTAL_PIXELS:
                raise ImageError(f"The images have more than {MAX_TOTAL_PIXELS:,} pixels together: send fewer at once.")
        rows = self.probabilities(pixels)
        return [self._classify(row, image_warnings, top_k) for row, image_warnings in zip(rows, warnings, strict=True)]

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return calibrated probabilities (n, classes) of pixels (n, height, width, channels)."""
        from scipy.special import softmax

        batches = []
        for start in range(0, len(pixels), _BATCH):
            with self._predict_lock:  # a prediction uses all threads of the processor
                batches.append(np.asarray(self._graph.predict_on_batch(pixels[start : start + _BATCH]), np.float64))
        outputs = np.concatenate(batches)
        logits = outputs if self._has_logits else np.log(np.maximum(outputs, _MIN_PROBABILITY))
        calibrated: NDArray[np.float64] = softmax(logits / self.info.temperature, axis=1)
        return calibrated

    def _fit(self, image: Any) -> tuple[NDArray[np.uint8], list[str]]:
        """Return the pixels of an image at the model's size, and its warnings."""
        wide: list[int] = []
        pixels = self._read(image, wide)
        misfits = [value_range.describe_misfit(largest, self.info.value_range) for largest in wide]
        warnings = [*self._warnings(pixels), *filter(None, misfits)]
        return image_files.resize(pixels, self.info.shape[:2], self.info.resize), warnings

    def _read(self, image: Any, wide: list[int]) -> NDArray[np.uint8]:
        """Return the pixels of an image (height, width, channels) at its own size.

        Args:
            image: The image.
            wide: Gets the largest value of an image of 16 bits.

        Raises:
            ValueError: It cannot be read; the message is a short reason.
        """
        channels: Any = self.info.shape[2]
        if isinstance(image, (bytes, bytearray, memoryview)):
            kept_range = self.info.value_range
            return image_files.decode(
                bytes(image), channels=channels, pixel_limit=MAX_PIXELS, value_range=kept_range, on_wide=wide.append
            )
        if not isinstance(image, (list, tuple, np.ndarray)):
            raise ValueError(f"expected base64 text or pixels, got {type(image).__name__}")
        return image_files.convert_array(image_inputs.to_array(image), channels=channels)

    def _warnings(self, image: NDArray[np.uint8]) -> Iterator[str]:
        (height, width), (model_height, model_width, channels) = image.shape[:2], self.info.shape
        if height < _SMALL * model_height or width < _SMALL * model_width:
            yield (
                f"The image is {width} x {height}, much smaller than the {model_width} x {model_height} of the "
                "training images."
            )
        if channels == 3 and (image == image[..., :1]).all():
            yield "The image is gray."

    def _classify(self, row: NDArray[np.float64], warnings: list[str], top_k: int) -> Classification:
        best = np.argsort(-row, kind="stable")[:top_k]
        labels = [self.info.labels[index] for index in best]
        return Classification(labels, row[best].tolist(), self.version, warnings)
