"""The order of batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.data.dataset import Pool, Split
from tinybench.training.batches import Batches

SIZES = st.integers(1, 60)
SEEDS = st.integers(0, 2**31 - 1)


def split(size: int) -> Split:
    """Images whose every pixel is their place in the split; the pool holds them backwards."""
    rows = np.arange(size)[::-1].astype(np.int64)
    images = np.arange(size, dtype=np.uint8)[::-1, None, None, None].repeat(2, 1).repeat(2, 2)
    labels = np.arange(size, dtype=np.int32)
    return Split(Pool(images, labels[::-1], np.zeros(size, "S16")), rows, labels)


@given(SIZES, SEEDS, st.integers(0, 50))
def test_order_is_a_permutation(size: int, seed: int, epoch: int) -> None:
    batches = Batches(split(size), 8, seed)
    batches.epoch = epoch
    assert sorted(batches.order()) == list(range(size))


@given(SIZES, SEEDS, st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_order_is_a_function_of_seed_and_epoch(size: int, seed: int, epochs: list[int]) -> None:
    used = Batches(split(size), 8, seed)
    for epoch in epochs:
        fresh = Batches(split(size), 8, seed)
        used.epoch = fresh.epoch = epoch
        np.testing.assert_array_equal(used.order(), fresh.order())


@given(SIZES, st.integers(1, 70), st.none() | SEEDS)
@settings(deadline=None)
def test_an_epoch_has_every_image_once_with_its_label(size: int, batch_size: int, seed: int | None) -> None:
    batches = Batches(split(size), batch_size, seed)
    taken = [batches[index] for index in range(batches.num_batches)]
    lengths = [len(labels) for _, labels in taken]
    assert lengths[:-1] == [batch_size] * (len(lengths) - 1)
    assert lengths[-1] == (size % batch_size or batch_size)
    assert sorted(np.concatenate([labels for _, labels in taken])) == list(range(size))
    for images, labels in taken:
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_seed_and_epoch_both_matter() -> None:
    orders = set()
    for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        batches = Batches(split(50), 8, seed)
        batches.epoch = epoch
        orders.add(tuple(batches.order()))
    assert len(orders) == 4


def test_without_a_seed_the_order_is_that_of_the_split() -> None:
    batches = Batches(split(10), 4)
    batches.epoch = 3
    assert list(batches.order()) == list(range(10))
