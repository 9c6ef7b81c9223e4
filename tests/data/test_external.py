"""Data of others fit to a model by the names of its classes."""

from __future__ import annotations

import numpy as np
import pytest

from tinybench.core.errors import DataError
from tinybench.data import external, fingerprint
from tinybench.data.dataset import ImagePool, RawDataset


def source(side: int = 8, channels: int = 3, *, official: bool = False) -> RawDataset:
    pixels = np.random.default_rng(0).integers(0, 256, (12, side, side, channels), np.uint8)
    pool = ImagePool(pixels, np.arange(12, dtype=np.int32) % 2, fingerprint.hash_images(pixels))
    test = ImagePool(pixels[8:], pool.labels[8:], pool.digests[8:]) if official else None
    return RawDataset(pool, test, ("dog", "cat"), "f", "here")


def test_labels_are_those_of_the_model_s_classes_and_all_images_are_tested() -> None:
    given = source()
    found = external.adapt_to_model("own", given, ("ant", "cat", "dog"), (8, 8, 3), "squash")
    assert found.class_names == ("ant", "cat", "dog")
    assert [len(part) for part in found.splits.values()] == [0, 0, 12]
    assert found.test.labels.tolist() == [2, 1] * 6
    np.testing.assert_array_equal(found.test.images(), given.train.images)


def test_official_test_images_stay_the_only_ones() -> None:
    assert len(external.adapt_to_model("own", source(official=True), ("cat", "dog"), (8, 8, 3), "squash").test) == 4


def test_images_are_fit_to_the_model_s_size() -> None:
    found = external.adapt_to_model("own", source(), ("cat", "dog"), (4, 6, 3), "squash")
    assert found.shape == (4, 6, 3)
    assert found.test.images().shape == (12, 4, 6, 3)
    gray = external.adapt_to_model("own", source(channels=1), ("cat", "dog"), (8, 8, 3), "squash").test.images()
    assert (gray == gray[..., :1]).all()
    one_channel = external.adapt_to_model("own", source(), ("cat", "dog"), (8, 8, 1), "squash")
    assert one_channel.test.images().shape == (12, 8, 8, 1)


def test_what_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match=r"does not know 1 of the classes, such as 'dog'\. It knows 'cat', 'cow'"):
        external.adapt_to_model("own", source(), ("cat", "cow"), (8, 8, 3), "squash")


def test_images_are_identified_as_they_were_given() -> None:
    given = source(official=True)
    assert given.test is not None
    found = external.adapt_to_model("own", given, ("cat", "dog"), (4, 4, 3), "pad")
    assert found.test.pool.digests.tolist() == given.test.digests.tolist()
    assert found.resize == found.test.pool.resize == "pad"
