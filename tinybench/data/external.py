"""Data that a model was not trained on, told by the names of its classes and fit to its size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import DataError
from tinybench.data import fingerprint, splits
from tinybench.data.dataset import Dataset, Images, Pool, Source, Split
from tinybench.data.images import fit, from_array


def fitted(name: str, source: Source, known: tuple[str, ...], shape: tuple[int, int, int]) -> Dataset:
    """A data set to test a model by: the official test images, or all where there are none.

    Args:
        name: As in the configuration.
        source: With some of the classes, in any order.
        known: The model's classes.
        shape: Height, width and channels of its images.

    Returns:
        A data set without training and validation images, with the labels of the model's classes, at its size.

    Raises:
        DataError: a class that the model does not know.
    """
    unknown = [each for each in source.class_names if each not in known]
    if unknown:
        raise DataError(
            f"The model does not know {len(unknown)} of the classes, such as {unknown[0]!r}. It knows "
            f"{', '.join(map(repr, known[:5]))}{' …' if len(known) > 5 else ''}: rename the folders, or leave them out."
        )
    pool = source.test or source.train
    labels = np.array([known.index(each) for each in source.class_names], np.int32)[pool.labels]
    pool = _sized(pool, labels, shape)
    none = Split(pool, np.arange(0), labels[:0])
    test = Split(pool, np.arange(len(labels)), labels)
    parts = {"train": none, "validation": none, "test": test}
    return Dataset(
        name=name,
        train=none,
        validation=none,
        test=test,
        class_names=known,
        shape=shape,
        fingerprint=source.fingerprint,
        split_hash=splits.split_hash(parts),
        origin=source.origin,
        duplicates=splits.duplicates(parts),
        warnings=source.warnings,
    )


def _sized(pool: Pool, labels: NDArray[np.int32], shape: tuple[int, int, int]) -> Pool:
    """The pool with other labels, its images of another size or colour where they must be."""
    if pool.images.shape[1:] == shape:
        return Pool(pool.images, labels, pool.digests)
    images = _resized(pool.images, shape)
    return Pool(images, labels, fingerprint.of_images(images))


def _resized(images: Images, shape: tuple[int, int, int]) -> Images:
    height, width, channels = shape
    found = np.empty((len(images), height, width, channels), np.uint8)
    for place, image in enumerate(images):
        found[place] = fit(from_array(image, channels=1 if channels == 1 else 3), (height, width))
    return found
