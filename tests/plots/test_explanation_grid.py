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
        (coloured,) = drawn(cam)
        assert coloured.shape == (8, 6, 3)


def test_maps_are_bright_from_the_99th_percentile_on() -> None:
    gradients = maps(1, 20, 20)
    figure = explanation_grid.plot_explanations(pixels(1, 20, 20, 3), {"Gradient": gradients}, ["cat"])
    (image,) = figure.axes[2].get_images()
    assert image.get_clim() == pytest.approx((0, np.percentile(gradients, 99)))


@pytest.mark.parametrize("brightness", [0, 128, 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_overlay_has_the_colour_of_its_map_on_dark_and_on_light_images(brightness: int, channels: int) -> None:
    cams = np.array([[[0.0, 1.0, 2.0]]])
    image = np.full((1, 1, 3, channels), brightness, np.uint8)
    figure = explanation_grid.plot_explanations(image, {"seen": cams}, ["cat"], overlaid=["seen"])
    ((none, half, most),) = drawn(figure.axes[2])[0]
    assert none[2] > 2 * none[0], "blue"
    assert most[0] > 2 * max(most[1:]), "red"
    assert min(half[:2]) > half[2], "yellow"
    assert max(none) - min(none) > 0.2
    assert max(most) - min(most) > 0.2


def test_an_overlay_has_the_brightness_of_its_image() -> None:
    image = np.array([0, 100, 255, 0], np.uint8).reshape(1, 1, 4, 1)
    figure = explanation_grid.plot_explanations(image, {"Grad-CAM": np.array([[[1, 1, 1, 0.0]]])}, ["cat"])
    ((dark, gray, light, _),) = drawn(figure.axes[2])[0].sum(axis=-1)
    assert dark < gray < light


@pytest.mark.parametrize(("value", "note"), [(0, "nothing supports it"), (1, "the same everywhere")])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_map_that_points_at_nothing_says_so(value: float, note: str, channels: int) -> None:
    image = pixels(1, 4, 4, channels)
    figure = explanation_grid.plot_explanations(image, {"Grad-CAM": np.full((1, 4, 4), value)}, ["cat"])
    assert [text.get_text() for text in figure.axes[2].texts] == [note]
    (gray,) = drawn(figure.axes[2])
    assert gray.shape == (4, 4)


@pytest.mark.parametrize("names", [["Gradient"], ["Grad-CAM"], ["Gradient", "Grad-CAM"]])
def test_the_legend_says_what_the_colours_of_each_map_are(names: list[str]) -> None:
    figure = explanation_grid.plot_explanations(pixels(1, 4, 4, 3), {name: maps(1, 4, 4) for name in names}, ["cat"])
    legend = " ".join(figure.texts[0].get_text().split())
    assert ("black is 0" in legend) == ("Gradient" in names)
    assert ("red pixels" in legend) == ("Grad-CAM" in names)


def test_of_many_images_the_first_are_shown_and_counted() -> None:
    figure = explanation_grid.plot_explanations(pixels(25, 4, 4, 3), {"Grad-CAM": maps(25, 4, 4)}, ["cat"] * 25)
    assert len(figure.axes) == 24 * 3
    assert figure.texts[0].get_text().endswith("The first 24 of 25 images.")


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
