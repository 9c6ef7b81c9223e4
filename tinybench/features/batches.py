"""Serve images in batches, and shuffle an epoch."""

from __future__ import annotations

import math
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.data.dataset import Images, Labels, Split


class BatchSource(Protocol):
    """Labelled images, or their features, in the order of an epoch."""

    def __len__(self) -> int: ...

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        """Return inputs, labels, and the rows of both that stand at positions `start` to `stop` of the epoch."""
        ...

    @property
    def max_images(self) -> int:
        """The most images to take in one call."""
        ...


def epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the indices 0 to `count` - 1 in the order of an epoch, the same for the same seed and epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class Batches(keras.utils.PyDataset):
    """Batches of raw pixels and labels, in the order of a split.

    Args:
        split: The images.
        batch_size: Images of a batch; the last may have fewer.
    """

    def __init__(self, split: Split, batch_size: int) -> None:
        super().__init__()
        self.split = split
        self.batch_size = batch_size

    @property
    def num_batches(self) -> int:
        """The number of batches, the last smaller one included."""
        return math.ceil(len(self.split) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Images, Labels]:
        """Return the pixels (n, height, width, channels) and labels (n,) of a batch."""
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.split.images(rows), self.split.labels[rows]
