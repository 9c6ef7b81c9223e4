"""Feed the trainer: pixels, features computed in every epoch, or stored features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset, Split
from tinybench.features.bank import Augmenter, Extract, FeatureBank
from tinybench.features.batches import BatchSource, epoch_order

# Copied to the device in one call
_BYTES_PER_CALL = 2**28

# Separates the random choice of views from that of the order
_VIEW_SEED = 2**31


class Feed(Protocol):
    """Training and validation images, in the form that the trainer takes.

    Attributes:
        count: Number of training images.
    """

    count: int

    def training(self, epoch: int) -> BatchSource:
        """Return the training images in the order of an epoch, counted from 0 over all phases."""
        ...

    def validation(self) -> BatchSource:
        """Return the validation images."""
        ...


class PixelFeed:
    """A feed of raw pixels: the whole model runs in every step.

    Args:
        dataset: The images.
        seed: Seed of their order.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self._dataset = dataset
        self._seed = seed
        self.count = len(dataset.train)

    def training(self, epoch: int) -> BatchSource:
        """Return the training images in the order of an epoch."""
        return _PixelSource(self._dataset.train, epoch_order(self.count, self._seed, epoch))

    def validation(self) -> BatchSource:
        """Return the validation images."""
        split = self._dataset.validation
        return _PixelSource(split, np.arange(len(split)))


class _PixelSource:
    def __init__(self, split: Split, order: NDArray[np.int64]) -> None:
        self._split = split
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    @property
    def max_images(self) -> int:
        return images_per_call(self._split.pool.images[0].nbytes)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        indices = self._order[start:stop]
        return self._split.images(indices), self._split.labels[indices], np.arange(len(indices))


class EngineFeed:
    """A feed of features that an engine computes in every epoch.

    Args:
        dataset: The images.
        config: The run's configuration.
        extract: Pixels to features.
        augmented: Augment the training images anew in every epoch.
    """

    def __init__(self, dataset: Dataset, config: RunConfig, extract: Extract, *, augmented: bool) -> None:
        self._dataset = dataset
        self._config = config
        self._extract = extract
        self._augmenter = Augmenter(config.augment) if augmented else None
        self.count = len(dataset.train)

    def training(self, epoch: int) -> BatchSource:
        """Return the training images in the order of an epoch."""
        seed = self._config.seed

        def augment(pixels: NDArray[np.float32], step: int) -> NDArray[np.float32]:
            return self._augmenter(pixels, seed, epoch, step) if self._augmenter else pixels

        return _EngineSource(self, self._dataset.train, epoch_order(self.count, seed, epoch), augment)

    def validation(self) -> BatchSource:
        """Return the validation images."""
        split = self._dataset.validation
        return _EngineSource(self, split, np.arange(len(split)), lambda pixels, step: pixels)

    def features(
        self,
        pixels: NDArray[np.uint8],
        first_step: int,
        augment: Callable[[NDArray[np.float32], int], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Return the features of images, step by step, so that they do not depend on how many are taken in a call.

        Args:
            pixels: Images (n, height, width, channels) that begin with those of `first_step`.
            first_step: Number of the step in the epoch.
            augment: Changes float pixels, given the number of their step.
        """
        size = self._config.batch_size
        batches = [
            self._extract(augment(pixels[start : start + size].astype(np.float32), first_step + start // size))
            for start in range(0, len(pixels), size)
        ]
        return np.concatenate(batches)

    @property
    def batch_size(self) -> int:
        """Images of a step."""
        return self._config.batch_size


class _EngineSource:
    # Few enough that a call ends soon, many enough to keep the engine busy
    max_images = 256

    def __init__(
        self,
        feed: EngineFeed,
        split: Split,
        order: NDArray[np.int64],
        augment: Callable[[NDArray[np.float32], int], NDArray[np.float32]],
    ) -> None:
        self._feed = feed
        self._split = split
        self._order = order
        self._augment = augment

    def __len__(self) -> int:
        return len(self._order)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        indices = self._order[start:stop]
        first_step = start // self._feed.batch_size
        features = self._feed.features(self._split.images(indices), first_step, self._augment)
        return features, self._split.labels[indices], np.arange(len(indices))


class BankFeed:
    """A feed of features from banks; each image shows another of its views in every epoch.

    Args:
        dataset: The images.
        seed: Seed of their order.
        views: A bank for each view of the training images.
        validation: The bank that holds the validation images.
        room: How many bytes of features may be on the device at once.
    """

    def __init__(
        self, dataset: Dataset, seed: int, views: list[FeatureBank], validation: FeatureBank, room: int
    ) -> None:
        self._seed = seed
        self.count = len(dataset.train)
        self._first_view = np.random.default_rng([seed, _VIEW_SEED]).integers(len(views), size=self.count)
        self._views = len(views)
        needed = (len(views) * self.count + len(dataset.validation)) * views[0].shards.row_bytes
        table = _DeviceTable if 2 * needed <= room else _DiskTable  # a copy is made on the way to the device
        self._training = table(views, dataset.train)
        self._validation = table([validation], dataset.validation)

    def training(self, epoch: int) -> BatchSource:
        """Return the training images in the order of an epoch."""
        order = epoch_order(self.count, self._seed, epoch)
        view = (self._first_view + epoch) % self._views
        return _BankSource(self._training, view[order] * self.count + order)

    def validation(self) -> BatchSource:
        """Return the validation images."""
        return _BankSource(self._validation, np.arange(self._validation.count))


class _DeviceTable:
    """Features on the device, one view after another."""

    def __init__(self, views: list[FeatureBank], split: Split) -> None:
        self.count = len(split)
        self.max_images = len(split)
        features = [bank.take(split.rows) for bank in views]
        joined = features[0] if len(features) == 1 else np.concatenate(features)
        self._features = keras.ops.convert_to_tensor(joined)
        self._labels = keras.ops.convert_to_tensor(np.tile(split.labels, len(views)))

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        return self._features, self._labels, rows


class _DiskTable:
    """Features on disk, more than fit on the device."""

    def __init__(self, views: list[FeatureBank], split: Split) -> None:
        self.count = len(split)
        self.max_images = images_per_call(views[0].shards.row_bytes)
        self._views = views
        self._split = split

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        shards = self._views[0].shards
        features = np.empty((len(rows), *shards.shape), shards.dtype)
        view, indices = np.divmod(rows, self.count)
        for number in np.unique(view):
            mask = view == number
            features[mask] = self._views[number].take(self._split.rows[indices[mask]])
        return features, self._split.labels[indices], np.arange(len(rows))


class _BankSource:
    def __init__(self, table: _DeviceTable | _DiskTable, rows: NDArray[np.int64]) -> None:
        self._table = table
        self._rows = rows
        self.max_images = table.max_images

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        return self._table.take(self._rows[start:stop])


def images_per_call(image_bytes: int) -> int:
    """Return how many images of `image_bytes` each are taken in one call."""
    return max(1, _BYTES_PER_CALL // image_bytes)
