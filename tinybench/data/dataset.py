"""What every data source gives: images as uint8 at native size, with names, splits and a fingerprint."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Card:
    """What is known about a data set before its files are there.

    Attributes:
        name: The registry's name.
        summary: One line for lists.
        classes: Number of classes; None when only the files can tell (a folder).
        train: Training images of the official set, validation included.
        test: Images of the official held-out split.
        shape: Height, width and channels of an image.
    """

    name: str
    summary: str
    classes: int | None = None
    train: int | None = None
    test: int | None = None
    shape: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Pool:
    """Images that belong together before any split or selection.

    Attributes:
        images: (n, height, width, channels) uint8, memory-mapped where it comes from the cache.
        labels: (n,) int32, from 0.
        digests: (n,) S16, a hash of each image's pixels, to find exact duplicates.
    """

    images: Images
    labels: Labels
    digests: NDArray[np.bytes_]


@dataclass(frozen=True)
class Source:
    """A data set as its files give it.

    Attributes:
        train: Official training images (validation is split off later, unless `validation` is there).
        test: The held-out images, scored once; None where the source has no such split.
        validation: Official validation images that are not the test set; most sources have none.
        class_names: One name a label.
        superclasses: For each label the name of its superclass, or empty.
        fingerprint: 64 hex digits: of the archive where there is one, else of the content.
        origin: Where the files lie, for people.
        warnings: Lines to show once.
    """

    train: Pool
    test: Pool | None
    class_names: tuple[str, ...]
    fingerprint: str
    origin: str
    validation: Pool | None = None
    superclasses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Some rows of a pool, in a fixed order; nothing is copied until a batch is asked for.

    Attributes:
        pool: The images it draws from.
        rows: (n,) indices into the pool.
        labels: (n,) int32 labels of the chosen classes, numbered from 0.
    """

    pool: Pool
    rows: NDArray[np.int64]
    labels: Labels

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, where: NDArray[np.int64] | slice = slice(None)) -> Images:
        """Pixels of the chosen positions of this split, (m, height, width, channels) uint8."""
        return self.pool.images.take(self.rows[where], axis=0)

    def part(self, start: int, stop: int) -> Split:
        """The positions from `start` up to `stop`."""
        return Split(self.pool, self.rows[start:stop], self.labels[start:stop])


@dataclass(frozen=True)
class Dataset:
    """A data set ready for a run.

    Attributes:
        name: As in the configuration.
        train, validation, test: The three splits; selection never sees `test`.
        class_names: One name a label.
        superclasses: For each label the name of its superclass, or empty.
        shape: Height, width and channels of every image.
        fingerprint: Hash of the source (archive or content).
        split_hash: Hash of what is in which split: pixels, labels and order.
        duplicates: Exact duplicates counted across splits, by "a/b" pairs of split names.
        origin: Where the files lie.
        warnings: Lines to show once.
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
    duplicates: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
