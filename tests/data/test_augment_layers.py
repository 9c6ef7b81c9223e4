"""Random crops and blanks: what they do to every image, and that they do it in training alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.data.augment_layers import Cutout, PaddedCrop


def images(count: int = 6, side: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1, 255, (count, side, side, 3)).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(padding=st.integers(1, 5), seed=st.integers(0, 1000), side=st.integers(4, 12))
def test_a_crop_is_the_image_moved_by_whole_pixels(padding: int, seed: int, side: int) -> None:
    before = images(side=side, seed=seed)
    after = np.asarray(PaddedCrop(padding, seed)(before, training=True))
    padded = np.pad(before, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
    for place, found in enumerate(after):
        moved = [
            padded[place, y : y + side, x : x + side] for y in range(2 * padding + 1) for x in range(2 * padding + 1)
        ]
        assert min(np.abs(found - each).max() for each in moved) < 1e-3


def test_images_of_a_batch_and_batches_are_moved_in_ways_of_their_own() -> None:
    layer, before = PaddedCrop(4, 0), np.repeat(images(1), 32, axis=0)
    first, second = (np.asarray(layer(before, training=True)) for _ in range(2))
    assert len(np.unique(first.reshape(32, -1), axis=0)) > 10
    assert not np.array_equal(first, second)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.2, 0.9), seed=st.integers(0, 1000))
def test_what_is_cut_out_is_a_square_of_the_mean_colour(share: float, seed: int) -> None:
    before = images(side=20, seed=seed)
    after = np.asarray(Cutout(share, seed)(before, training=True))
    for old, new in zip(before, after, strict=True):
        changed = np.abs(new - old).max(axis=-1) > 1e-4
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert 1 <= len(rows) <= share * 20 + 1
        assert 1 <= len(columns) <= share * 20 + 1
        assert (np.diff(rows) == 1).all()
        assert (np.diff(columns) == 1).all()
        np.testing.assert_allclose(new[changed], np.broadcast_to(old.mean(axis=(0, 1)), new[changed].shape), rtol=1e-4)


@pytest.mark.parametrize("layer", [PaddedCrop(4, 0), Cutout(0.5, 0)])
def test_nothing_changes_outside_training(layer) -> None:
    before = images()
    np.testing.assert_array_equal(layer(before), before)
    np.testing.assert_array_equal(layer(before, training=False), before)


@pytest.mark.parametrize("make", [lambda seed: PaddedCrop(4, seed), lambda seed: Cutout(0.5, seed)])
def test_the_change_is_a_function_of_the_seed(make) -> None:
    one, two, other = (np.asarray(make(seed)(images(), training=True)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
