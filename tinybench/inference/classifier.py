"""Pictures in any form to the most probable labels: what MLflow's server and ours share, and evaluation checks.

Knows nothing of MLflow or HTTP, since it travels with every model.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import threading
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinybench.data import images

if TYPE_CHECKING:
    import keras

MOST_PIXELS = 50_000_000  # of a picture: what a good camera gives, and a bomb does not stay below
MOST_PICTURES = 1024  # of a request
MOST_TOGETHER = 400_000_000  # pixels of a request's pictures: some ten seconds to unpack
_DEPTH = 6  # of nested lists that are looked into
_BATCH = 64
_SMALL = 0.5  # of the size that the model was trained on
_TALLEST = 8  # batch sizes that are tried before the first request: 1, 2, 4, 8
_LEAST = np.finfo(np.float64).tiny


class PictureError(ValueError):
    """A picture that cannot be answered; the message is a sentence for whoever sent it."""


@dataclass(frozen=True)
class About:
    """What is known of a model beside its weights.

    Attributes:
        labels: Of its classes, in the order of its outputs.
        shape: Height, width and channels of the images that it takes.
        temperature: By which its logits are divided.
    """

    labels: tuple[str, ...]
    shape: tuple[int, int, int]
    temperature: float = 1.0

    def as_json(self) -> str:
        """To be stored."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> About:
        """What `as_json` gave, read back."""
        known = json.loads(text)
        height, width, channels = known["shape"]
        return cls(tuple(known["labels"]), (height, width, channels), float(known.get("temperature", 1.0)))


@dataclass(frozen=True)
class Answer:
    """What a picture is taken for.

    Attributes:
        labels: The most probable first.
        probabilities: Theirs, at the model's temperature.
        model_version: Of the model that answered.
        warnings: What makes the answer less trustworthy.
    """

    labels: list[str]
    probabilities: list[float]
    model_version: str
    warnings: list[str] = field(default_factory=list)


class Room:
    """So much, shared by threads: who needs more than is left waits."""

    def __init__(self, all_of_it: int) -> None:
        self._all = self._left = all_of_it
        self._changed = threading.Condition()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Take some; who asks for more than there is takes all."""
        taken = min(size, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= taken)
            self._left -= taken
        try:
            yield
        finally:
            with self._changed:
                self._left += taken
                self._changed.notify_all()


class Answerer:
    """A loaded model that is asked for pictures; threads may ask it at the same time."""

    def __init__(self, model: keras.Model, about: About, version: str = "") -> None:
        """Args: uint8 pixels to probabilities, what is known of it, and its version."""
        import keras

        names = [layer.name for layer in model.layers]
        self._logits = "logits" in names  # as evaluation asks: `evaluation.score`
        self._graph = keras.Model(model.inputs, model.get_layer("logits").output) if self._logits else model
        self._one_at_a_time = threading.Lock()
        self._room = Room(MOST_PIXELS)  # a picture takes some ten bytes a pixel while it is read
        self.about = about
        self.version = version

    @classmethod
    def load(cls, model: Path, about: Path, version: str = "") -> Answerer:
        """From the files that are stored with a model."""
        from tinybench import models

        return cls(models.load(model), About.of_json(about.read_text("utf-8")), version)

    def warm_up(self) -> None:
        """Answer for nobody, so that the first client does not wait for graphs to be traced."""
        size = 1
        while size <= _TALLEST:
            self.probabilities(np.zeros((size, *self.about.shape), np.uint8))
            size *= 2

    def __call__(self, pictures: Sequence[Any], top_k: int = 5) -> list[Answer]:
        """The most probable labels of pictures.

        Args:
            pictures: Each encoded (bytes, or base64 text) or pixels as nested lists or an array.
            top_k: How many labels each.

        Raises:
            PictureError: one is no picture, or there are none or too many.
        """
        if isinstance(top_k, bool) or not isinstance(top_k, (int, np.integer)) or top_k < 1:
            raise PictureError(f"Expected top_k as a whole number of at least 1, got {str(top_k)[:40]!r}.")
        if not pictures:
            raise PictureError("Expected at least one picture, got none.")
        if len(pictures) > MOST_PICTURES:
            raise PictureError(f"Expected at most {MOST_PICTURES:,} pictures at once, got {len(pictures):,}.")
        pixels = np.empty((len(pictures), *self.about.shape), np.uint8)
        warnings, together = [], 0
        for place, picture in enumerate(pictures):
            try:
                given = _decoded(picture) if isinstance(picture, str) else picture
                size = _size(given)
                together += size
                if together <= MOST_TOGETHER:
                    with self._room.of(size):
                        pixels[place], words = self._fitted(given)
                    warnings.append(words)
            except ValueError as error:
                which = f"Picture {place + 1} of {len(pictures)}" if len(pictures) > 1 else "The picture"
                raise PictureError(f"{which} cannot be used: {str(error).rstrip('.')}.") from None
            if together > MOST_TOGETHER:
                raise PictureError(
                    f"The pictures have more than {MOST_TOGETHER:,} pixels together: send fewer at once."
                )
        return [
            self._answer(row, words, top_k) for row, words in zip(self.probabilities(pixels), warnings, strict=True)
        ]

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Calibrated probabilities (n, classes) of pixels (n, *shape)."""
        from scipy.special import softmax

        parts = []
        for start in range(0, len(pixels), _BATCH):
            with self._one_at_a_time:  # the processor's threads are all its own
                parts.append(np.asarray(self._graph.predict_on_batch(pixels[start : start + _BATCH]), np.float64))
        found = np.concatenate(parts)
        logits = found if self._logits else np.log(np.maximum(found, _LEAST))
        calibrated: NDArray[np.float64] = softmax(logits / self.about.temperature, axis=1)
        return calibrated

    def _fitted(self, picture: Any) -> tuple[NDArray[np.uint8], list[str]]:
        """Pixels of a picture as the model takes them, and what is to be said of it."""
        found = self._read(picture)
        return images.resize(found, self.about.shape[:2]), [*self._warnings(found)]

    def _read(self, picture: Any) -> NDArray[np.uint8]:
        """Pixels of a picture, (height, width, channels), in its own size.

        Raises:
            ValueError: it is none; the message is a short reason.
        """
        channels: Any = self.about.shape[2]
        if isinstance(picture, (bytes, bytearray, memoryview)):
            return images.decode(bytes(picture), channels=channels, pixel_limit=MOST_PIXELS)
        if not isinstance(picture, (list, tuple, np.ndarray)):
            raise ValueError(f"expected base64 text or pixels, got {type(picture).__name__}")
        return images.convert_array(_array(picture), channels=channels)

    def _warnings(self, picture: NDArray[np.uint8]) -> Iterator[str]:
        (height, width), (high, wide, channels) = picture.shape[:2], self.about.shape
        if height < _SMALL * high or width < _SMALL * wide:
            yield f"The picture is {width} x {height}, much smaller than the {wide} x {high} of the training images."
        if channels == 3 and (picture == picture[..., :1]).all():
            yield "The picture is gray."

    def _answer(self, row: NDArray[np.float64], warnings: list[str], top_k: int) -> Answer:
        best = np.argsort(-row, kind="stable")[:top_k]
        labels = [self.about.labels[place] for place in best]
        return Answer(labels, row[best].tolist(), self.version, warnings)


def _size(picture: Any) -> int:
    """How many pixels a picture will have, before it is read; 0 where that cannot be told."""
    if isinstance(picture, (bytes, bytearray, memoryview)):
        try:
            height, width = images.read_size(io.BytesIO(picture))
        except ValueError:
            return 0
        return height * width
    if isinstance(picture, (list, tuple, np.ndarray)) and len(picture) and isinstance(picture[0], Sized):
        return len(picture) * len(picture[0])
    return 0


def _decoded(text: str) -> bytes:
    """The bytes of base64 text, with or without a data URL's beginning."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("expected a picture as base64 text, got text that is not base64") from None


def _array(pixels: Any) -> NDArray[Any]:
    """Nested lists as an array.

    Raises:
        ValueError: they are ragged, too deep, or no numbers.
    """
    if isinstance(pixels, np.ndarray) and pixels.dtype != object:
        return pixels
    leaf, size, depth = pixels, 1, 0
    while isinstance(leaf, (list, tuple, np.ndarray)) and len(leaf):
        leaf, size, depth = leaf[0], size * len(leaf), depth + 1
        if depth > _DEPTH:
            raise ValueError("expected pixels as (height, width, channels), got lists that are nested deeper")
    if isinstance(leaf, (str, bytes)):  # NumPy would make every one as wide as the longest
        raise ValueError("expected pixels as whole numbers in 0..255, got text")
    if size > 4 * MOST_PIXELS:
        raise ValueError(f"more than {MOST_PIXELS:,} pixels")
    try:
        found = np.array(pixels, np.float64)
    except OverflowError:
        raise ValueError("expected pixels as whole numbers in 0..255, got larger ones") from None
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError(
            "expected pixels as (height, width, channels), got lists of unlike lengths or depths"
        ) from None
    if found.size and not (found.min() >= 0 and found.max() <= 255):  # NaN is not either
        raise ValueError(f"expected pixels as whole numbers in 0..255, got {found.min():g} to {found.max():g}")
    return found.astype(np.uint8) if (found == np.rint(found)).all() else found
