"""From the uint8 cache to batches: one gather a batch, in an order that the seed and the epoch decide."""

from __future__ import annotations

import math

import keras
import numpy as np

from tinybench.data.dataset import Images, Labels, Split


class Batches(keras.utils.PyDataset):
    """Batches of raw pixels and labels.

    The order is a function of (seed, epoch), so that a resumed run goes on with the same images.

    Attributes:
        epoch: Whose order is used next; the training loop sets it.
    """

    def __init__(self, split: Split, batch_size: int, seed: int | None = None) -> None:
        """Args: the split, images a batch (the last may have fewer), and a seed to shuffle by."""
        super().__init__()
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self._order: tuple[int, np.ndarray] | None = None

    @property
    def num_batches(self) -> int:
        """Batches in an epoch, the last smaller one included."""
        return math.ceil(len(self.split) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Images, Labels]:
        """The pixels (n, height, width, channels) and labels (n,) of a batch."""
        rows = self.order()[index * self.batch_size : (index + 1) * self.batch_size]
        return self.split.images(rows), self.split.labels[rows]

    def order(self) -> np.ndarray:
        """Positions of the split in this epoch's order."""
        if self._order is None or self._order[0] != self.epoch:
            everything = np.arange(len(self.split))
            if self.seed is not None:
                everything = np.random.default_rng([self.seed, self.epoch]).permutation(everything)
            self._order = (self.epoch, everything)
        return self._order[1]
