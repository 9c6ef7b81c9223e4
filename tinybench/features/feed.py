"""What an epoch is fed with: pixels, features made as they are needed, or features that were kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.config.run_config import RunConfig
from tinybench.data.dataset import Dataset, Split
from tinybench.features import batches
from tinybench.features.bank import Augmenter, Bank, Extract
from tinybench.training.steps import Images

# What a call copies to the device at once
_BYTES_AT_ONCE = 2**28

# Keeps the random choice of views apart from that of the order
_VIEWS = 2**31


class Feed(Protocol):
    """Training and validation images, in the form that the training model takes."""

    count: int

    def training(self, epoch: int) -> Images:
        """The training images in the order of an epoch, counted from 0 over all phases."""
        ...

    def validation(self) -> Images:
        """The validation images."""
        ...


class Pixels:
    """A feed of raw pixels: the whole model runs in every step."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        """Args: the images, and the seed of their order."""
        self._dataset = dataset
        self._seed = seed
        self.count = len(dataset.train)

    def training(self, epoch: int) -> Images:
        """The training images in the order of an epoch."""
        return _Pixels(self._dataset.train, batches.order(self.count, self._seed, epoch))

    def validation(self) -> Images:
        """The validation images."""
        split = self._dataset.validation
        return _Pixels(split, np.arange(len(split)))


class _Pixels:
    def __init__(self, split: Split, places: NDArray[np.int64]) -> None:
        self._split = split
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @property
    def most(self) -> int:
        return at_once(self._split.pool.images[0].nbytes)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        places = self._places[start:stop]
        return self._split.images(places), self._split.labels[places], np.arange(len(places))


class Extracted:
    """A feed of features that an engine makes as they are needed."""

    def __init__(self, dataset: Dataset, config: RunConfig, extract: Extract, *, augmented: bool) -> None:
        """Args: the images, the configuration, what turns pixels into features; whether images are augmented anew."""
        self._dataset = dataset
        self._config = config
        self._extract = extract
        self._augmenter = Augmenter(config.augment) if augmented else None
        self.count = len(dataset.train)

    def training(self, epoch: int) -> Images:
        """The training images in the order of an epoch."""
        seed = self._config.seed

        def augmented(pixels: NDArray[np.float32], step: int) -> NDArray[np.float32]:
            return self._augmenter(pixels, seed, epoch, step) if self._augmenter else pixels

        return _Extracted(self, self._dataset.train, batches.order(self.count, seed, epoch), augmented)

    def validation(self) -> Images:
        """The validation images."""
        split = self._dataset.validation
        return _Extracted(self, split, np.arange(len(split)), lambda pixels, step: pixels)

    def features(
        self,
        pixels: NDArray[np.uint8],
        first: int,
        augmented: Callable[[NDArray[np.float32], int], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """Features of images that begin with those of step `first`; each step by itself, however many are taken."""
        size = self._config.batch_size
        parts = [
            self._extract(augmented(pixels[start : start + size].astype(np.float32), first + start // size))
            for start in range(0, len(pixels), size)
        ]
        return np.concatenate(parts)

    @property
    def batch_size(self) -> int:
        """Images a step."""
        return self._config.batch_size


class _Extracted:
    # Few enough that the engine's answer does not keep a person waiting, many enough to keep it busy
    most = 256

    def __init__(
        self,
        feed: Extracted,
        split: Split,
        places: NDArray[np.int64],
        augmented: Callable[[NDArray[np.float32], int], NDArray[np.float32]],
    ) -> None:
        self._feed = feed
        self._split = split
        self._places = places
        self._augmented = augmented

    def __len__(self) -> int:
        return len(self._places)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        places = self._places[start:stop]
        first = start // self._feed.batch_size
        features = self._feed.features(self._split.images(places), first, self._augmented)
        return features, self._split.labels[places], np.arange(len(places))


class Banked:
    """A feed of features from banks, each image in another of its views every epoch."""

    def __init__(self, dataset: Dataset, seed: int, views: list[Bank], validation: Bank, room: int) -> None:
        """Args: the images, the seed of their order, banks of the views, one with the validation images.

        `room` is how many bytes of features may be on the device at once.
        """
        self._seed = seed
        self.count = len(dataset.train)
        self._first_view = np.random.default_rng([seed, _VIEWS]).integers(len(views), size=self.count)
        self._views = len(views)
        needed = (len(views) * self.count + len(dataset.validation)) * views[0].shards.row_bytes
        table = _Resident if 2 * needed <= room else _Mapped  # a copy is made on the way to the device
        self._training = table(views, dataset.train)
        self._validation = table([validation], dataset.validation)

    def training(self, epoch: int) -> Images:
        """The training images in the order of an epoch."""
        places = batches.order(self.count, self._seed, epoch)
        view = (self._first_view + epoch) % self._views
        return _Banked(self._training, view[places] * self.count + places)

    def validation(self) -> Images:
        """The validation images."""
        return _Banked(self._validation, np.arange(self._validation.count))


class _Resident:
    """Features on the device, the views one after another."""

    def __init__(self, views: list[Bank], split: Split) -> None:
        self.count = len(split)
        self.most = len(split)
        self._features = keras.ops.convert_to_tensor(_joined([bank.take(split.rows) for bank in views]))
        self._labels = keras.ops.convert_to_tensor(np.tile(split.labels, len(views)))

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        return self._features, self._labels, rows


def _joined(parts: list[NDArray[np.floating]]) -> NDArray[np.floating]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class _Mapped:
    """Features on disk, more than fit on the device."""

    def __init__(self, views: list[Bank], split: Split) -> None:
        self.count = len(split)
        self.most = at_once(views[0].shards.row_bytes)
        self._views = views
        self._split = split

    def take(self, rows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        shards = self._views[0].shards
        found = np.empty((len(rows), *shards.shape), shards.dtype)
        view, places = np.divmod(rows, self.count)
        for number in np.unique(view):
            where = view == number
            found[where] = self._views[number].take(self._split.rows[places[where]])
        return found, self._split.labels[places], np.arange(len(rows))


class _Banked:
    def __init__(self, table: _Resident | _Mapped, rows: NDArray[np.int64]) -> None:
        self._table = table
        self._rows = rows
        self.most = table.most

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        return self._table.take(self._rows[start:stop])


def at_once(size: int) -> int:
    """How many images of so many bytes are taken at once."""
    return max(1, _BYTES_AT_ONCE // size)
