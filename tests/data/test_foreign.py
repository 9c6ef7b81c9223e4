"""Data of others fit to a model by the names of its classes."""

from __future__ import annotations

import numpy as np
import pytest

from tinybench.data import digests, foreign
from tinybench.data.dataset import Dataset, Pool, Split
from tinybench.errors import DataError


def dataset(side: int = 8, channels: int = 3, *, official: bool = False) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (12, side, side, channels), np.uint8)
    pool = Pool(pixels, np.arange(12, dtype=np.int32) % 2, digests.of_images(pixels))
    parts = [Split(pool, rows, pool.labels[rows]) for rows in np.split(np.arange(12), [6, 8])]
    if official:
        other = Pool(pixels[8:], pool.labels[8:], pool.digests[8:])
        parts[2] = Split(other, np.arange(4), other.labels)
    return Dataset("folder", *parts, ("dog", "cat"), (side, side, channels), "f", "s", "here")


def test_labels_are_those_of_the_model_s_classes_and_all_images_are_tested() -> None:
    given = dataset()
    found = foreign.fitted(given, ("ant", "cat", "dog"), (8, 8, 3))
    assert found.class_names == ("ant", "cat", "dog")
    assert len(found.test) == 12
    assert found.test.labels.tolist() == [2, 1] * 6
    np.testing.assert_array_equal(found.test.images(), given.train.pool.images)


def test_official_test_images_stay_the_only_ones() -> None:
    assert len(foreign.fitted(dataset(official=True), ("cat", "dog"), (8, 8, 3)).test) == 4


def test_images_are_fit_to_the_model_s_size() -> None:
    found = foreign.fitted(dataset(), ("cat", "dog"), (4, 6, 3))
    assert found.shape == (4, 6, 3)
    assert found.test.images().shape == (12, 4, 6, 3)
    gray = foreign.fitted(dataset(channels=1), ("cat", "dog"), (8, 8, 3)).test.images()
    assert (gray == gray[..., :1]).all()
    assert foreign.fitted(dataset(), ("cat", "dog"), (8, 8, 1)).test.images().shape == (12, 8, 8, 1)


def test_what_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match=r"does not know 1 of the classes, such as 'dog'\. It knows 'cat', 'cow'"):
        foreign.fitted(dataset(), ("cat", "cow"), (8, 8, 3))
