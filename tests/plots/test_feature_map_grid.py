"""Depth slices and filters: what is drawn is what was given."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from strangers import NAMES

from tinybench.plots import feature_map_grid


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def drawn(figure) -> list[np.ndarray]:
    return [np.asarray(axes.get_images()[0].get_array()) for axes in figure.axes if axes.get_images()]


@pytest.mark.parametrize(
    ("channels", "shown", "said"), [(1, 1, "all 1"), (9, 9, "all 9"), (1280, 32, "the strongest 32 of 1,280")]
)
def test_slices_stand_behind_their_image_the_strongest_first(channels: int, shown: int, said: str) -> None:
    image, maps = np.arange(75, dtype=np.uint8).reshape(5, 5, 3), numbers(4, 3, channels)
    figure = feature_map_grid.plot_feature_maps(image, maps, "conv")
    first, *slices = drawn(figure)
    np.testing.assert_array_equal(first, image)
    strongest = np.argsort(-maps.std(axis=(0, 1)))[:shown]
    np.testing.assert_array_equal(slices, np.moveaxis(maps, -1, 0)[strongest])
    assert figure.get_suptitle() == f"conv, {said} channels"


@pytest.mark.parametrize(("dead", "said"), [(1, "4 of 5 channels, 1 is dead"), (3, "2 of 5 channels, 3 are dead")])
def test_dead_channels_are_counted_and_not_shown(dead: int, said: str) -> None:
    maps = numbers(4, 4, 5)
    maps[..., 1 : 1 + dead] = 0.5
    figure = feature_map_grid.plot_feature_maps(np.zeros((5, 5, 1), np.uint8), maps, "conv")
    _, *slices = drawn(figure)
    assert len(slices) == 5 - dead
    assert all(np.ptp(each) > 0 for each in slices)
    assert figure.get_suptitle() == f"conv, {said}"


def test_of_many_live_channels_beside_dead_ones_the_strongest_are_shown() -> None:
    maps = numbers(4, 4, 40)
    maps[..., 7] = 0
    figure = feature_map_grid.plot_feature_maps(np.zeros((5, 5, 1), np.uint8), maps, "conv")
    assert figure.get_suptitle() == "conv, the strongest 32 of 40 channels, 1 is dead"


def test_fewer_slices_can_be_asked_for() -> None:
    figure = feature_map_grid.plot_feature_maps(np.zeros((5, 5, 1), np.uint8), numbers(4, 4, 9), "conv", max_panels=2)
    assert len(drawn(figure)) == 3
    assert figure.get_suptitle() == "conv, the strongest 2 of 9 channels"


@pytest.mark.parametrize("name", NAMES)
def test_dead_slices_of_gray_images_are_left_out_whatever_the_layer_is_called(name: str) -> None:
    figure = feature_map_grid.plot_feature_maps(np.full((5, 5, 1), 7, np.uint8), np.zeros((1, 1, 2)), name)
    picture = io.BytesIO()
    figure.savefig(picture)
    assert Image.open(picture).size[0] > 100
    assert len(drawn(figure)) == 1
    assert figure.get_suptitle().endswith((", all 2 channels are dead", "…"))


def test_a_map_of_one_pixel_is_live_if_it_is_not_zero() -> None:
    figure = feature_map_grid.plot_feature_maps(np.full((5, 5, 1), 7, np.uint8), np.array([[[0, 0.5]]]), "conv")
    _, *slices = drawn(figure)
    assert [each.item() for each in slices] == [0.5]


@pytest.mark.parametrize("scale", [1e-6, 1, 100])
def test_filters_of_colours_are_pictures_with_zero_in_the_middle(scale: float) -> None:
    kernels = numbers(3, 5, 3, 4) * scale
    kernels[0, 0] = 0
    found = np.stack(drawn(feature_map_grid.plot_filters(kernels)))
    assert found.shape == (4, 3, 5, 3)
    np.testing.assert_allclose(found[:, 0, 0], 0.5)
    np.testing.assert_allclose((found - 0.5) * 2 * np.abs(kernels).max(), np.moveaxis(kernels, -1, 0), rtol=1e-5)
    assert found.min() == pytest.approx(0) or found.max() == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_filters_of_other_channels_are_gray(channels: int) -> None:
    kernels = numbers(3, 3, channels, 5)
    figure = feature_map_grid.plot_filters(kernels)
    found, mean = np.stack(drawn(figure)), np.moveaxis(kernels.mean(axis=2), -1, 0)
    np.testing.assert_allclose((found - 0.5) * 2 * np.abs(mean).max(), mean, rtol=1e-4, atol=1e-6)
    assert {image.get_clim() for axes in figure.axes for image in axes.get_images()} == {(0, 1)}


def test_of_many_filters_the_first_are_shown() -> None:
    figure = feature_map_grid.plot_filters(numbers(11, 11, 3, 96))
    assert len(drawn(figure)) == 64
    assert figure.get_suptitle() == "Filters of the first layer (11 by 11), 64 of 96"


def test_filters_of_zeros_are_gray_all_over() -> None:
    figure = feature_map_grid.plot_filters(np.zeros((3, 3, 3, 2)))
    assert (np.stack(drawn(figure)) == 0.5).all()
    figure.savefig(io.BytesIO())
