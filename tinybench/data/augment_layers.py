"""Layers for random changes of images that Keras does not have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class PaddedCrop(keras.layers.Layer):
    """A layer that pads every image with zeros and crops it at a random offset: a shift by whole pixels.

    The usual augmentation for CIFAR; source: He et al., 2015, section 4.2.

    Args:
        padding: Pixels added on each side.
        seed: Seed of the random offsets.
    """

    def __init__(self, padding: int, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = padding
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Return (n, height, width, channels) images of the same shape; unchanged outside training."""
        if not training:
            return images
        margin = (self.padding, self.padding)
        padded = ops.pad(images, [(0, 0), margin, margin, (0, 0)])
        count, height, width, _ = ops.shape(images)
        offsets = keras.random.randint((2, count, 1), 0, 2 * self.padding + 1, seed=self.generator)
        rows, columns = (
            ops.one_hot(offsets[axis] + ops.arange(size), size + 2 * self.padding, dtype=images.dtype)
            for axis, size in enumerate((height, width))
        )
        # Products with one-hot matrices select rows and columns; slicing image by image would need a loop
        return ops.einsum("nwW,nhWc->nhwc", columns, ops.einsum("nhH,nHWc->nhWc", rows, padded))


class Cutout(keras.layers.Layer):
    """A layer that fills a square at a random position of every image with the image's mean colour.

    The square may extend beyond the edge. Source: DeVries and Taylor, 2017.

    Args:
        share: Side of the square as a share of the image's side.
        seed: Seed of the random positions.
    """

    def __init__(self, share: float, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.share = share
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = False) -> Any:
        """Return (n, height, width, channels) images of the same shape; unchanged outside training."""
        if not training:
            return images
        count, height, width, _ = ops.shape(images)
        centre = keras.random.uniform((2, count, 1), seed=self.generator)
        rows, columns = (
            ops.abs(ops.arange(size, dtype="float32") + 0.5 - centre[axis] * size) * 2 < self.share * size
            for axis, size in enumerate((height, width))
        )
        blank = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
        return ops.where(blank, ops.mean(images, axis=(1, 2), keepdims=True), images)
