"""Images with what a model says of them."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from strangers import NAMES, draw

from tinybench.plots import prediction_grid


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def frame(axes) -> tuple[object, object]:
    spine = axes.spines["left"]
    return spine.get_edgecolor(), spine.get_linestyle()


def captions(figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_images()]


def test_images_keep_their_order_and_say_what_they_are_taken_for() -> None:
    images = pixels(3, 8, 8, 3)
    given = (["cat", "dog", "ox"], ["cat", "cat", "ox"], np.array([0.987, 0.5, 1]))
    figure = prediction_grid.plot_predictions(images, *given, "Answers")
    assert figure.get_suptitle() == "Answers"
    for axes, expected in zip(figure.axes, images, strict=True):
        np.testing.assert_array_equal(axes.get_images()[0].get_array(), expected)
    assert captions(figure) == ["✓ cat (99%)", "✗ cat (50%)\nis dog", "✓ ox (100%)"]


def test_right_and_wrong_differ_by_colour_and_by_line() -> None:
    figure = prediction_grid.plot_predictions(pixels(2, 8, 8, 3), ["cat", "dog"], ["cat", "cat"], np.ones(2), "Answers")
    (right, solid), (wrong, dashed) = map(frame, figure.axes[:2])
    assert right != wrong
    assert (solid, dashed) == ("solid", "dashed")


@pytest.mark.parametrize(("given", "shown"), [(0, 0), (1, 1), (7, 7), (24, 24), (25, 24)])
def test_up_to_24_are_shown(given: int, shown: int) -> None:
    names = ["cat"] * given
    figure = prediction_grid.plot_predictions(pixels(given, 8, 8, 3), names, names, np.ones(given), "Answers")
    assert len(captions(figure)) == shown
    assert any(text.get_text() == "none" for axes in figure.axes for text in axes.texts) == (shown == 0)
    figure.savefig(io.BytesIO())


def test_gray_images_are_shown_in_their_own_range() -> None:
    figure = prediction_grid.plot_predictions(np.full((1, 4, 4, 1), 100, np.uint8), ["7"], ["7"], np.ones(1), "Answers")
    (image,) = figure.axes[0].get_images()
    assert image.get_clim() == (0, 255)
    np.testing.assert_array_equal(image.get_array(), np.full((4, 4), 100))


def test_long_and_strange_names_stay_over_their_own_image() -> None:
    count = len(NAMES)
    figure = prediction_grid.plot_predictions(
        pixels(count, 8, 8, 3), NAMES, NAMES[1:] + NAMES[:1], np.ones(count), NAMES[5]
    )
    draw(figure)
    width, height = figure.canvas.get_width_height()
    boxes = [axes._left_title.get_window_extent() for axes in figure.axes[:count]]
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0 or right.x0 < left.x0, "the next stands right of it, or on the next row"
    for box in [*boxes, figure._suptitle.get_window_extent()]:
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height + 1
