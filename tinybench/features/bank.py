"""The feature bank: the output of the frozen part of a model for each image, computed once and stored.

A bank holds the features of a set of images as they are (view 0), or after one random augmentation each
(view 1 and higher). Its name is a hash of everything that decides them: the pixels, the architecture and weights
up to the cut, which include input size and preprocessing, the augmentation with its seed, and the precision.
Any change leads to another bank, and another phase, trial or run with the same inputs finds the same one.
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
from tinybench.models.seeding import seed_layers

if TYPE_CHECKING:
    from tinybench.config.sections import AugmentConfig
    from tinybench.data.dataset import ImagePool, Split
    from tinybench.training.run_callbacks import RunCallbacks

FORMAT = 1

# Keys of a model's configuration that hold names of layers, and keys that do not affect the outputs
_NAME_KEYS = ("name", "keras_history", "input_layers", "output_layers")
_IGNORED_KEYS = ("build_config", "shared_object_id", "trainable")

# Images between two updates of the progress bar: few enough for a slow backbone, many enough to keep an engine busy
_IMAGES_PER_CALL = 32

Extract = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class View:
    """One augmented pass over a set of images, or the images as they are.

    Attributes:
        number: 0 is without augmentation.
        augmentation: The random changes of an image; not used in view 0.
        seed: Seed of the augmentation.
    """

    number: int
    augmentation: AugmentConfig
    seed: int

    @property
    def key(self) -> dict[str, Any]:
        """The values that decide the features."""
        return {"number": self.number, "seed": self.seed} | asdict(self.augmentation) if self.number else {}


class FeatureBank:
    """The features of a set of images, in a folder of the cache.

    Args:
        pool: The images.
        rows: Rows of the pool that the bank holds.
        view: How the images are augmented.
        shape: Shape of the features of one image.
        key: What else decides the features; `dtype` is the NumPy type that they are stored in.
    """

    def __init__(
        self, pool: ImagePool, rows: NDArray[np.int64], view: View, shape: tuple[int, ...], key: dict[str, Any]
    ) -> None:
        self.pool = pool
        self.rows = np.unique(rows)
        self.view = view
        self.key = {"format": FORMAT, "images": _hash_images(pool, self.rows), "view": view.key, **key}
        name = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()[:32]
        self.folder = cache.entry_folder("features", name)
        self.shards = Shards(self.folder, len(self.rows), shape, key["dtype"])

    def missing(self) -> int:
        """Return how many images have no features yet."""
        if not self.folder.is_dir():
            return len(self.rows)
        shard_rows = [self.shards.rows_of(index) for index in self.shards.missing()]
        return sum(rows.stop - rows.start for rows in shard_rows)

    def fill(self, extract: Extract, description: str, engine: str, callbacks: RunCallbacks) -> float:
        """Compute the missing features; of two processes that need the same features, one computes them.

        Args:
            extract: Pixels (n, height, width, channels) to features (n, *shape), both float32.
            description: Of the bank, for `tinybench cache list`.
            engine: Name of the engine behind `extract`, stored with the bank.
            callbacks: Receives `on_features_step`, and a message when another process is computing the features.

        Returns:
            Seconds that this process computed.

        Raises:
            OverflowError: A feature is too large for the stored type.
            OSError: The disk is full or cannot be written.
        """
        lock = cache.entry_lock(self.folder)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            callbacks.on_message("Another process is computing these features: waiting for it.")
            lock.acquire()
        try:
            self.folder.mkdir(exist_ok=True)
            missing = self.shards.missing()
            if not missing:  # another process has computed them in the meantime
                return 0.0
            cache.write_description(self.folder, description, self.key, engine)
            start_time = time.perf_counter()
            self._compute(missing, extract, callbacks)
            return time.perf_counter() - start_time
        finally:
            lock.release()

    def _compute(self, missing: list[int], extract: Extract, callbacks: RunCallbacks) -> None:
        for leftover in self.folder.glob("*.part"):  # of a process that was killed
            leftover.unlink()
        augmenter = Augmenter(self.view.augmentation)
        for index in missing:
            rows = self.shards.rows_of(index)
            pixels = self.pool.images.take(self.rows[rows], axis=0).astype(np.float32)
            if self.view.number:
                pixels = augmenter(pixels, self.view.seed, self.view.number, index)
            batches = []
            for start in range(0, len(pixels), _IMAGES_PER_CALL):
                batches.append(extract(pixels[start : start + _IMAGES_PER_CALL]))
                callbacks.on_features_step(len(batches[-1]))
            self.shards.write(index, _cast(np.concatenate(batches), self.shards.dtype))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the features (n, *shape) of rows of the pool, in the given order."""
        return self.shards.take(np.searchsorted(self.rows, rows))


class Augmenter:
    """Augments pixels as a function of seeds alone, whatever was augmented before.

    Args:
        config: How images are changed.
    """

    def __init__(self, config: AugmentConfig) -> None:
        self._layers = augment.build(config, seed=0)

    def __call__(self, pixels: NDArray[np.float32], *seeds: int) -> NDArray[np.float32]:
        """Return pixels (n, height, width, channels), each image changed at random."""
        seed_layers(self._layers, [*seeds])
        augmented = keras.ops.convert_to_tensor(pixels)
        for layer in self._layers:
            augmented = layer(augmented, training=True)
        return np.asarray(keras.ops.convert_to_numpy(augmented), np.float32)


def hash_extractor(extractor: keras.Model) -> str:
    """Return a hash (64 hex digits) of an architecture and its weights that does not depend on layer names."""
    architecture = _without_names(extractor.get_config(), {})
    hasher = hashlib.sha256(json.dumps(architecture, sort_keys=True, default=str).encode())
    for weight in extractor.weights:
        values = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
        hasher.update(f"{values.shape}{values.dtype}".encode())
        hasher.update(values.data)
    return hasher.hexdigest()


def rows_of_splits(*splits: Split) -> NDArray[np.int64]:
    """Return the sorted rows of several splits of one pool."""
    return np.unique(np.concatenate([split.rows for split in splits]))


def _without_names(value: Any, placeholders: dict[str, str], key: str = "") -> Any:
    """Return a model's configuration without what does not affect its features.

    Each name is replaced by its order of first appearance, since Keras numbers layers by how many a process has
    created; whether a layer is trained does not affect its present output.
    """
    if isinstance(value, dict):
        items = {name: inner for name, inner in value.items() if name not in _IGNORED_KEYS}
        return {name: _without_names(inner, placeholders, name) for name, inner in items.items()}
    if isinstance(value, (list, tuple)):
        return [_without_names(inner, placeholders, key) for inner in value]
    if isinstance(value, str) and key in _NAME_KEYS:
        return placeholders.setdefault(value, f"#{len(placeholders)}")
    return value


def _hash_images(pool: ImagePool, rows: NDArray[np.int64]) -> str:
    hasher = hashlib.sha256(repr(pool.images.shape[1:]).encode())
    hasher.update(pool.resize.encode())  # the digests are those of the images before
    hasher.update(pool.digests[rows].tobytes())
    return hasher.hexdigest()


def _cast(features: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[np.floating]:
    largest = np.finfo(dtype).max
    if dtype != features.dtype and bool((np.abs(features) > largest).any()):
        raise OverflowError(f"A feature is beyond {largest:g}, the largest {dtype}")
    return features.astype(dtype)
