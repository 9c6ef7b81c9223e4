"""From the uint8 cache to batches, and the order of an epoch."""

from __future__ import annotations

import math

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.data.dataset import Images, Labels, Split


def order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The places 0 to `count` - 1 in an epoch's order: a resumed run finds it again."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class Batches(keras.utils.PyDataset):
    """Batches of raw pixels and labels, in the order of a split."""

    def __init__(self, split: Split, batch_size: int) -> None:
        """Args: the split, and images a batch (the last may have fewer)."""
        super().__init__()
        self.split = split
        self.batch_size = batch_size

    @property
    def num_batches(self) -> int:
        """Batches in all, the last smaller one included."""
        return math.ceil(len(self.split) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Images, Labels]:
        """The pixels (n, height, width, channels) and labels (n,) of a batch."""
        where = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.split.images(where), self.split.labels[where]
