"""Batches of a split, and the order of an epoch."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.data.dataset import ImagePool, Split
from tinybench.features.batches import Batches, epoch_order

SIZES = st.integers(1, 60)
SEEDS = st.integers(0, 2**31 - 1)


def split(size: int) -> Split:
    """Images whose every pixel is their place in the split; the pool holds them backwards."""
    rows = np.arange(size)[::-1].astype(np.int64)
    images = np.arange(size, dtype=np.uint8)[::-1, None, None, None].repeat(2, 1).repeat(2, 2)
    labels = np.arange(size, dtype=np.int32)
    return Split(ImagePool(images, labels[::-1], np.zeros(size, "S16")), rows, labels)


@given(SIZES, SEEDS, st.integers(0, 50))
def test_order_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    assert sorted(epoch_order(size, seed, epoch)) == list(range(size))


@given(SIZES, SEEDS, st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_order_is_a_function_of_seed_and_epoch(size: int, seed: int, epochs: list[int]) -> None:
    first = {epoch: epoch_order(size, seed, epoch) for epoch in epochs}
    for epoch in reversed(epochs):  # whatever was asked for before
        np.testing.assert_array_equal(epoch_order(size, seed, epoch), first[epoch])


def test_order_does_not_depend_on_the_global_generator() -> None:
    np.random.seed(1)
    before = epoch_order(50, 0, 0)
    np.random.seed(2)
    np.testing.assert_array_equal(epoch_order(50, 0, 0), before)


def test_seed_and_epoch_both_matter() -> None:
    orders = {tuple(epoch_order(50, seed, epoch)) for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]}
    assert len(orders) == 4


@given(SIZES, st.integers(1, 70))
@settings(deadline=None)
def test_batches_have_every_image_once_with_its_label_in_the_order_of_the_split(size: int, batch_size: int) -> None:
    batches = Batches(split(size), batch_size)
    taken = [batches[index] for index in range(batches.num_batches)]
    lengths = [len(labels) for _, labels in taken]
    assert lengths[:-1] == [batch_size] * (len(lengths) - 1)
    assert lengths[-1] == (size % batch_size or batch_size)
    assert list(np.concatenate([labels for _, labels in taken])) == list(range(size))
    for images, labels in taken:
        assert images.dtype == np.uint8
        assert images.shape == (len(labels), 2, 2, 1)
        np.testing.assert_array_equal(images, np.broadcast_to(labels[:, None, None, None], images.shape))
