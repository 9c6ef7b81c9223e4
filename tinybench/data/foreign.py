"""Data that a model was not trained on, told by the names of its classes and fit to its size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tinybench.data import digests
from tinybench.data.dataset import Dataset, Images, Pool, Split
from tinybench.data.images import fit, from_array
from tinybench.errors import DataError


def fitted(dataset: Dataset, known: tuple[str, ...], shape: tuple[int, int, int]) -> Dataset:
    """The data set with the labels of a model's classes, at its size; without official test images all are tested.

    Args:
        dataset: With some of the classes, in any order.
        known: The model's classes.
        shape: Height, width and channels of its images.

    Raises:
        DataError: a class that the model does not know.
    """
    unknown = [name for name in dataset.class_names if name not in known]
    if unknown:
        raise DataError(
            f"The model does not know {len(unknown)} of the classes, such as {unknown[0]!r}. It knows "
            f"{', '.join(map(repr, known[:5]))}{' …' if len(known) > 5 else ''}: rename the folders, or leave them out."
        )
    labels = np.array([known.index(name) for name in dataset.class_names], np.int32)
    test = _all(dataset) if dataset.test.pool is dataset.train.pool else dataset.test
    return replace(
        dataset,
        train=_fitted(dataset.train, labels, shape),
        validation=_fitted(dataset.validation, labels, shape),
        test=_fitted(test, labels, shape),
        class_names=known,
        shape=shape,
        superclasses=(),
    )


def _all(dataset: Dataset) -> Split:
    parts = [dataset.train, dataset.validation, dataset.test]
    rows, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "labels"))
    order = np.argsort(rows)
    return Split(dataset.train.pool, rows[order], labels[order])


def _fitted(split: Split, labels: NDArray[np.int32], shape: tuple[int, int, int]) -> Split:
    """The split with other labels, its images of another size where they must be."""
    own = labels[split.labels]
    if split.pool.images.shape[1:] == shape:
        return Split(split.pool, split.rows, own)
    images = _resized(split.images(), shape)
    return Split(Pool(images, own, digests.of_images(images)), np.arange(len(images)), own)


def _resized(images: Images, shape: tuple[int, int, int]) -> Images:
    height, width, channels = shape
    found = np.empty((len(images), height, width, channels), np.uint8)
    for place, image in enumerate(images):
        found[place] = fit(from_array(image, channels=1 if channels == 1 else 3), (height, width))
    return found
