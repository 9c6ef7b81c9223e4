"""The confusion matrix: cells, order and words."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from strangers import NAMES, draw

from tinybench.plots import confusion_matrix


def counted(classes: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 4, (classes, classes)) + np.diag(generator.integers(0, 90, classes))


def cells(figure) -> np.ma.MaskedArray:
    return figure.axes[0].get_images()[0].get_array()


def words(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_rows_are_true_classes_and_colours_are_shares_of_them() -> None:
    counts = np.array([[3, 1], [0, 6]])
    figure = confusion_matrix.plot_confusion_matrix(counts, ["cat", "dog"])
    axes = figure.axes[0]
    np.testing.assert_allclose(cells(figure), [[0.75, 0.25], [0, 1]])
    assert axes.get_images()[0].get_clim() == (0, 1)
    assert words(axes.get_xticklabels()) == words(axes.get_yticklabels()) == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted", "True")
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "3",
        (1, 0): "1",
        (0, 1): "0",
        (1, 1): "6",
    }
    assert axes.get_title() == "Accuracy 90.0% on 10 images"


@pytest.mark.parametrize(("classes", "numbers"), [(1, 1), (2, 4), (12, 144), (13, 0), (30, 0)])
def test_all_of_up_to_30_classes_are_shown_and_few_enough_with_numbers(classes: int, numbers: int) -> None:
    counts = counted(classes) + 1
    figure = confusion_matrix.plot_confusion_matrix(counts, [f"class {place}" for place in range(classes)])
    np.testing.assert_allclose(cells(figure), counts / counts.sum(axis=1, keepdims=True))
    assert len(figure.axes[0].texts) == numbers
    figure.savefig(io.BytesIO())


def test_a_class_without_images_has_no_colour() -> None:
    figure = confusion_matrix.plot_confusion_matrix(np.array([[2, 0], [0, 0]]), ["cat", "dog"])
    np.testing.assert_array_equal(cells(figure).mask, [[False, False], [True, True]])
    assert figure.axes[0].get_title() == "Accuracy 100.0% on 2 images\n1 class has no images"


def test_of_many_classes_the_worst_are_shown_with_what_they_are_taken_for() -> None:
    counts = counted(200)
    counts[:, 7] = 0
    counts[7] = 0
    names = [f"class {place}" for place in range(200)]
    figure = confusion_matrix.plot_confusion_matrix(counts, names)
    images = counts.sum(axis=1)
    recall = np.divide(counts.diagonal(), images, out=np.full(200, 2.0), where=images > 0)
    shown = [names.index(label) for label in words(figure.axes[0].get_yticklabels())]
    assert 7 not in shown
    np.testing.assert_allclose(recall[shown], np.sort(recall)[:30])
    expected = counts[np.ix_(shown, shown)] / images[shown, None]
    np.testing.assert_allclose(cells(figure), expected)
    assert figure.axes[0].get_images()[0].get_clim() == (0, expected.max())
    (beside,) = figure.axes[0].child_axes
    for place, label in zip(shown, words(beside.get_yticklabels()), strict=True):
        wrong = counts[place] * (np.arange(200) != place)
        assert label == f"{wrong.max() / images[place]:.0%} class {wrong.argmax()}"
    title = figure.axes[0].get_title()
    assert "The 30 of 200 classes with the lowest recall\n1 class has no images" in title


def test_numbers_of_the_few_of_many_classes_that_have_images_are_their_own() -> None:
    counts = np.zeros((40, 40), int)
    counts[[3, 3, 5], [3, 5, 9]] = 6, 4, 2
    figure = confusion_matrix.plot_confusion_matrix(counts, [f"class {place}" for place in range(40)])
    assert words(figure.axes[0].get_yticklabels()) == ["class 5", "class 3"]
    assert {text.get_position(): text.get_text() for text in figure.axes[0].texts} == {
        (0, 0): "0",
        (1, 0): "0",
        (0, 1): "4",
        (1, 1): "6",
    }
    assert words(figure.axes[0].child_axes[0].get_yticklabels()) == ["100% class 9", "40% class 5"]


def test_one_answer_for_all_leaves_the_scale_from_0_to_1() -> None:
    counts = np.zeros((50, 50), int)
    counts[:, 0] = 3
    counts[0] = np.eye(50)[1]
    figure = confusion_matrix.plot_confusion_matrix(counts, [f"class {place}" for place in range(50)])
    assert figure.axes[0].get_images()[0].get_clim() == (0, 1)
    figure.savefig(io.BytesIO())


def test_without_images_there_is_no_picture() -> None:
    with pytest.raises(ValueError, match="Expected images, got none"):
        confusion_matrix.plot_confusion_matrix(np.zeros((2, 2), int), ["cat", "dog"])


@pytest.mark.parametrize("classes", [len(NAMES), 200])
def test_names_of_strangers_are_drawn_and_stay_within_the_picture(classes: int) -> None:
    names = [*NAMES, *(f"{name} {place}" for place in range(19) for name in NAMES)][:classes]
    figure = confusion_matrix.plot_confusion_matrix(counted(classes), names)
    draw(figure)
    width, height = figure.canvas.get_width_height()
    axes = figure.axes[0]
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.title]:
        box = label.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_the_table_is_the_whole_matrix() -> None:
    counts = counted(200)
    names = [*NAMES, *(f"class {place}" for place in range(200 - len(NAMES)))]
    rows = [*csv.reader(io.StringIO(confusion_matrix.confusion_matrix_csv(counts, names), newline=""))]
    assert rows[0][1:] == [row[0] for row in rows[1:]] == names
    np.testing.assert_array_equal(np.array([row[1:] for row in rows[1:]], int), counts)
