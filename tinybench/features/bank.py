"""The feature bank: what the frozen part of a model makes of each image, computed once and kept.

A bank holds the features of a set of images as they are (view 0), or after one random augmentation each
(view 1 and further). Its name is a hash of all that decides them: the pixels, the architecture and weights
up to the cut, which hold input size and preprocessing, the augmentation with its seed, and the precision.
So whatever changes, other features are looked for; and whoever asks for the same, in another phase, trial
or run, finds them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from filelock import Timeout
from numpy.typing import NDArray

from tinybench.core import cache
from tinybench.data import augment
from tinybench.features.shards import Shards
from tinybench.training import checkpoint

if TYPE_CHECKING:
    from tinybench.config.sections import AugmentConfig
    from tinybench.data.dataset import Pool, Split

FORMAT = 1

# Where a model's configuration names its layers, and what of it is of no account to their outputs
_NAMES = ("name", "keras_history", "input_layers", "output_layers")
_NO_MATTER = ("build_config", "shared_object_id", "trainable")

# Images between two movements of a bar: few enough for a slow backbone, many enough to keep an engine busy
_REPORTED = 32

Extract = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class View:
    """A look at every image of a set: as it is, or augmented.

    Attributes:
        number: 0 is without augmentation.
        augmentation: What changes an image; of no account in view 0.
        seed: Of the augmentation.
    """

    number: int
    augmentation: AugmentConfig
    seed: int

    @property
    def key(self) -> dict[str, Any]:
        """What of it decides the features."""
        return {"number": self.number, "seed": self.seed} | asdict(self.augmentation) if self.number else {}


class Bank:
    """Features of a set of images."""

    def __init__(
        self, pool: Pool, rows: NDArray[np.int64], view: View, shape: tuple[int, ...], key: dict[str, Any]
    ) -> None:
        """Args: the images and which of them, how they are looked at, the features' shape, and what else decides them.

        `key` holds `dtype`, the NumPy type that they are kept in.
        """
        self.pool = pool
        self.rows = np.unique(rows)
        self.view = view
        self.key = {"format": FORMAT, "images": _digest(pool, self.rows), "view": view.key, **key}
        name = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()[:32]
        self.folder = cache.folder("features", name)
        self.shards = Shards(self.folder, len(self.rows), shape, key["dtype"])

    def missing(self) -> int:
        """How many images have no features yet."""
        places = [self.shards.places(index) for index in self.shards.missing()] if self.folder.is_dir() else None
        return len(self.rows) if places is None else sum(where.stop - where.start for where in places)

    def fill(
        self, extract: Extract, about: str, engine: str, report: Callable[[int], None], wait: Callable[[], None]
    ) -> float:
        """Compute what is missing; two processes that want the same compute it once.

        Args:
            extract: Pixels (n, height, width, channels) to features (n, *shape), both float32.
            about: What the bank is, for lists.
            engine: The name of what computes, to tell later.
            report: Called with the number of images that were computed.
            wait: Called once when another process is computing these features.

        Returns:
            Seconds that this process computed.

        Raises:
            OverflowError: features too large for their type.
            OSError: the disk is full or cannot be written.
        """
        guard = cache.lock(self.folder)
        try:
            guard.acquire(timeout=0)
        except Timeout:
            wait()
            guard.acquire()
        try:
            self.folder.mkdir(exist_ok=True)
            missing = self.shards.missing()
            if not missing:  # another process has computed it meanwhile
                return 0.0
            cache.describe(self.folder, about, self.key, engine)
            began = time.perf_counter()
            self._compute(missing, extract, report)
            return time.perf_counter() - began
        finally:
            guard.release()

    def _compute(self, missing: list[int], extract: Extract, report: Callable[[int], None]) -> None:
        for part in self.folder.glob("*.part"):  # of a process that was killed
            part.unlink()
        augmenter = Augmenter(self.view.augmentation)
        for index in missing:
            where = self.shards.places(index)
            pixels = self.pool.images.take(self.rows[where], axis=0).astype(np.float32)
            if self.view.number:
                pixels = augmenter(pixels, self.view.seed, self.view.number, index)
            parts = []
            for start in range(0, len(pixels), _REPORTED):
                parts.append(extract(pixels[start : start + _REPORTED]))
                report(len(parts[-1]))
            self.shards.write(index, _narrowed(np.concatenate(parts), self.shards.dtype))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """The features of rows of the pool, in the order that is asked for."""
        return self.shards.take(np.searchsorted(self.rows, rows))


class Augmenter:
    """Augmented pixels as a function of seeds, whatever was augmented before."""

    def __init__(self, config: AugmentConfig) -> None:
        """Args: how images are changed."""
        self._layers = augment.build(config, seed=0)

    def __call__(self, pixels: NDArray[np.float32], *seeds: int) -> NDArray[np.float32]:
        """Pixels (n, height, width, channels), each image changed in its own way."""
        checkpoint.seed_layers(self._layers, [*seeds])
        changed = keras.ops.convert_to_tensor(pixels)
        for layer in self._layers:
            changed = layer(changed, training=True)
        return np.asarray(keras.ops.convert_to_numpy(changed), np.float32)


def of_extractor(extractor: keras.Model) -> str:
    """Hash (64 hex digits) of an architecture and its weights, whatever its layers happen to be called."""
    architecture = _nameless(extractor.get_config(), {})
    hasher = hashlib.sha256(json.dumps(architecture, sort_keys=True, default=str).encode())
    for weight in extractor.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        hasher.update(f"{values.shape}{values.dtype}".encode())
        hasher.update(values.data)
    return hasher.hexdigest()


def rows_of(*splits: Split) -> NDArray[np.int64]:
    """The rows of splits that draw from one pool."""
    return np.unique(np.concatenate([split.rows for split in splits]))


def _nameless(value: Any, places: dict[str, str], key: str = "") -> Any:
    """A model's configuration without what does not change its features.

    Names become the place where they come up first, since Keras numbers layers by how many a process has made;
    whether a layer is trained does not matter to what it computes now.
    """
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if name not in _NO_MATTER}
        return {name: _nameless(inner, places, name) for name, inner in kept.items()}
    if isinstance(value, (list, tuple)):
        return [_nameless(inner, places, key) for inner in value]
    if isinstance(value, str) and key in _NAMES:
        return places.setdefault(value, f"#{len(places)}")
    return value


def _digest(pool: Pool, rows: NDArray[np.int64]) -> str:
    hasher = hashlib.sha256(repr(pool.images.shape[1:]).encode())
    hasher.update(pool.digests[rows].tobytes())
    return hasher.hexdigest()


def _narrowed(features: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[np.floating]:
    largest = np.finfo(dtype).max
    if dtype != features.dtype and bool((np.abs(features) > largest).any()):
        raise OverflowError(f"A feature is beyond {largest:g}, the largest {dtype}")
    return features.astype(dtype)
