"""Types of a data set: pools of uint8 images at native size, and splits that are rows of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class DatasetCard:
    """A summary of a data set that is known before its files are there.

    Attributes:
        name: The registered name.
        summary: One line for lists.
        classes: Number of classes; None when only the files can tell (a folder).
        train: Number of official training images, those for validation included.
        test: Number of images of the official held-out split.
        shape: Height, width and channels of an image.
    """

    name: str
    summary: str
    classes: int | None = None
    train: int | None = None
    test: int | None = None
    shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class ImagePool:
    """Labelled images before any of them are selected or split.

    Attributes:
        images: (n, height, width, channels) uint8, memory-mapped where they come from the cache.
        labels: (n,) int32, from 0.
        digests: (n,) S16, a hash of each image's pixels as they were given, whatever was done to them later. Duplicates
            are recognised by it, and it is what identifies the data of a run.
        resize: How images that differed from `images` in size were resized; empty if none were. It is a part of what
            identifies features of these pixels.
    """

    images: Images
    labels: Labels
    digests: NDArray[np.bytes_]
    resize: str = ""


@dataclass(frozen=True)
class RawDataset:
    """A data set as its files give it, not split yet.

    Attributes:
        train: Official training images; those for validation are split off later, unless `validation` is given.
        test: The held-out images, scored once; None where the files have no such split.
        validation: Official validation images that are not the test set; most data sets have none.
        class_names: One name per label.
        superclasses: The name of the superclass of each label, or empty.
        fingerprint: 64 hex digits: the hash of the archive where there is one, else of the content.
        origin: Where the files are, for people to read.
        warnings: Lines to show once.
        unused: How many files, or rows of a table, are not used, by reason.
    """

    train: ImagePool
    test: ImagePool | None
    class_names: tuple[str, ...]
    fingerprint: str
    origin: str
    validation: ImagePool | None = None
    superclasses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Rows of a pool in a fixed order; pixels are copied only when a batch is asked for.

    Attributes:
        pool: The images that the rows index.
        rows: (n,) indices into the pool.
        labels: (n,) int32 labels of the selected classes, numbered from 0.
    """

    pool: ImagePool
    rows: NDArray[np.int64]
    labels: Labels

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, indices: NDArray[np.int64] | slice = slice(None)) -> Images:
        """Return the pixels at some indices of this split, (m, height, width, channels) uint8."""
        return self.pool.images.take(self.rows[indices], axis=0)

    def subset(self, start: int, stop: int) -> Split:
        """Return the images from index `start` up to `stop` as a split."""
        return Split(self.pool, self.rows[start:stop], self.labels[start:stop])


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready for a run.

    Attributes:
        name: The name in the configuration.
        train, validation, test: The three splits; selection never uses `test`.
        class_names: One name per label.
        shape: Height, width and channels of every image.
        fingerprint: Hash of the archive or of the content.
        split_hash: Hash of the pixels as they were given, labels and order of each split.
        origin: Where the files are.
        superclasses: The name of the superclass of each label, or empty.
        resize: How images of another size are resized for the model, see `data.images.resize`.
        duplicates: Number of exact duplicates between two splits, by "a/b" pairs of their names.
        warnings: Lines to show once.
        unused: How many files, or rows of a table, are not used, by reason.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    fingerprint: str
    split_hash: str
    origin: str
    superclasses: tuple[str, ...] = ()
    resize: str = "squash"
    duplicates: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unused: dict[str, int] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        """Return the three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def sample_rows(count: int, size: int, seed: int = 0) -> NDArray[np.int64]:
    """Return a random sample of the row numbers below `count`, in random order and without repetition.

    Use it rather than the first rows, since many data sets are sorted by class.

    Args:
        count: Number of rows to draw from.
        size: Number of rows to draw; all of them when there are fewer.
        seed: Seed of the draw.
    """
    return np.random.default_rng(seed).choice(count, min(size, count), replace=False)
