"""Maps beside their images: what is drawn is what was given."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from strangers import NAMES, draw

from tinybench.plots import explanation_grid


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def maps(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=shape).astype(np.float32)


def drawn(axes) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for image in axes.get_images()]


def test_a_row_an_image_and_a_column_a_map() -> None:
    images, gradients, cams = pixels(2, 8, 6, 3), maps(2, 8, 6), maps(2, 8, 6, seed=1)
    figure = explanation_grid.plot_explanations(images, {"Gradient": gradients, "Grad-CAM": cams}, ["cat", "dog\n50%"])
    assert [axes.get_title() for axes in figure.axes[:4]] == ["", "Image", "Gradient", "Grad-CAM"]
    assert [figure.axes[place].texts[0].get_text() for place in (0, 4)] == ["cat", "dog\n50%"]
    for row, (shown, gradient, cam) in enumerate((figure.axes[1:4], figure.axes[5:])):
        np.testing.assert_array_equal(drawn(shown)[0], images[row])
        np.testing.assert_array_equal(drawn(gradient), gradients[row : row + 1])
        gray, overlay = drawn(cam)
        assert gray.shape == (8, 6)
        np.testing.assert_array_equal(overlay, cams[row])


def test_maps_are_bright_from_the_99th_percentile_on() -> None:
    gradients = maps(1, 20, 20)
    figure = explanation_grid.plot_explanations(pixels(1, 20, 20, 3), {"Gradient": gradients}, ["cat"])
    (image,) = figure.axes[2].get_images()
    assert image.get_clim() == pytest.approx((0, np.percentile(gradients, 99)))


def test_an_overlay_is_clear_where_its_map_is_zero() -> None:
    cams = np.zeros((1, 4, 4))
    cams[0, 0, 0], cams[0, 0, 1:] = 2, 1
    figure = explanation_grid.plot_explanations(pixels(1, 4, 4, 3), {"seen": cams}, ["cat"], overlaid=["seen"])
    alpha = figure.axes[2].get_images()[1].get_alpha()
    assert (alpha[1:] == 0).all()
    assert alpha[0, 0] == alpha.max() < 1
    assert (alpha[0, 1:] > 0).all()


@pytest.mark.parametrize("value", [0.0, 3.0, 1e-30])
@pytest.mark.parametrize("channels", [1, 3])
def test_constant_maps_and_gray_images_can_be_drawn(value: float, channels: int) -> None:
    constant = np.full((1, 5, 5), value)
    figure = explanation_grid.plot_explanations(
        pixels(1, 5, 5, channels), {"Gradient": constant, "Grad-CAM": constant}, [""]
    )
    figure.savefig(io.BytesIO())
    low, high = figure.axes[2].get_images()[0].get_clim()
    assert low == 0
    assert high == (value or 1)


def test_a_map_of_a_single_point_is_not_lost() -> None:
    one = np.zeros((1, 40, 40))
    one[0, 3, 3] = 5  # less than a hundredth of the map: the percentile is 0
    figure = explanation_grid.plot_explanations(pixels(1, 40, 40, 3), {"Gradient": one}, ["cat"])
    assert figure.axes[2].get_images()[0].get_clim() == (0, 5)


@pytest.mark.parametrize("dpi", [72, 100, 120])
def test_captions_of_strangers_stay_within_the_picture_and_their_row(dpi: int) -> None:
    count = len(NAMES)
    captions = [f"{name}\nis {other}" for name, other in zip(NAMES, NAMES[::-1], strict=True)]
    figure = explanation_grid.plot_explanations(pixels(count, 8, 8, 3), {NAMES[5]: maps(count, 8, 8)}, captions)
    draw(figure, dpi)
    boxes = [axes.texts[0].get_window_extent() for axes in figure.axes[::3]]
    left = figure.axes[1].get_window_extent().x0
    assert all(box.x0 >= 0 and box.x1 < left for box in boxes)
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))
