"""What an epoch is fed with: pixels, features made as they are needed, or features that were kept."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tinybench.data.dataset import Dataset, Split
from tinybench.training import batches
from tinybench.training.steps import Images

# What a call copies to the device at once
_BYTES_AT_ONCE = 2**28


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


def at_once(size: int) -> int:
    """How many images of so many bytes are taken at once."""
    return max(1, _BYTES_AT_ONCE // size)
