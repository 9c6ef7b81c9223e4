"""Accuracy of each class: bars, their order, and what is left out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from strangers import NAMES, draw

from tinybench.plots import recall_by_class


def bars_of(axes) -> dict[str, float]:
    labels = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(labels, [bar.get_width() for bar in axes.patches], strict=True))


def some(classes: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    recall = np.random.default_rng(0).permutation(classes) / max(classes - 1, 1)
    return recall, np.arange(classes) + 5, [f"class {place}" for place in range(classes)]


def test_the_best_class_stands_above() -> None:
    figure = recall_by_class.plot_recall_by_class(
        np.array([0.5, 1.0, 0.0]), np.array([2, 4000, 1]), ["cat", "dog", "ox"]
    )
    (axes,) = figure.axes
    assert list(bars_of(axes).items()) == [
        ("dog (4,000 of 4,000)", 1),
        ("cat (1 of 2)", 0.5),
        ("ox (0 of 1)", 0),
    ]
    assert axes.yaxis_inverted()
    assert figure.get_suptitle() == "Accuracy per class, mean 50.0%"
    assert [*axes.lines[0].get_xdata()] == [0.5, 0.5]


@pytest.mark.parametrize("absent", [0.0, np.nan])
def test_classes_without_images_are_left_out(absent: float) -> None:
    figure = recall_by_class.plot_recall_by_class(np.array([0.5, absent, 1]), np.array([2, 0, 4]), ["cat", "dog", "ox"])
    assert [*bars_of(figure.axes[0])] == ["ox (4 of 4)", "cat (1 of 2)"]
    assert figure.get_suptitle() == ("Accuracy per class, mean 75.0%\n1 of 3 classes have no images and are left out")


def test_intervals_are_drawn_around_their_own_bars() -> None:
    intervals = np.array([[0.25, 0.75], [0.5, 1.0]])
    figure = recall_by_class.plot_recall_by_class(np.array([0.5, 1.0]), np.array([4, 4]), ["cat", "dog"], intervals)
    (whiskers,) = figure.axes[0].collections
    found = [segment[:, 0].tolist() for segment in whiskers.get_segments()]
    np.testing.assert_allclose(found, intervals[::-1])


@pytest.mark.parametrize("classes", [1, 2, 40])
def test_up_to_40_classes_are_all_shown(classes: int) -> None:
    recall, support, names = some(classes)
    figure = recall_by_class.plot_recall_by_class(recall, support, names)
    assert len(figure.axes) == 1
    assert [*bars_of(figure.axes[0]).values()] == sorted(recall, reverse=True)
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize("classes", [41, 200])
def test_of_more_the_best_the_worst_and_a_histogram_of_all(classes: int) -> None:
    recall, support, names = some(classes)
    best, worst, histogram = recall_by_class.plot_recall_by_class(recall, support, names).axes
    ordered = sorted(recall, reverse=True)
    assert (best.get_title(), worst.get_title()) == ("The 20 best", "The 20 worst")
    assert [*bars_of(best).values()] == ordered[:20]
    assert [*bars_of(worst).values()] == ordered[-20:]
    assert histogram.get_title() == f"All {classes} classes"
    assert sum(bar.get_height() for bar in histogram.patches) == classes


def test_tenths_lie_in_the_part_that_begins_with_them() -> None:
    recall = np.repeat(np.arange(11) / 10, 5)
    figure = recall_by_class.plot_recall_by_class(recall, np.full(55, 10), [str(place) for place in range(55)])
    heights = [bar.get_height() for bar in figure.axes[2].patches]
    assert heights == [5, 0] * 9 + [5, 5]


def test_without_images_there_is_no_picture() -> None:
    with pytest.raises(ValueError, match="Expected a class with images, got none"):
        recall_by_class.plot_recall_by_class(np.array([np.nan]), np.array([0]), ["cat"])


@pytest.mark.parametrize("times", [1, 20])
def test_names_of_strangers_are_drawn_and_stay_within_the_picture(times: int) -> None:
    names = NAMES * times
    figure = recall_by_class.plot_recall_by_class(np.linspace(0, 1, len(names)), np.full(len(names), 3), names)
    draw(figure)
    for axes in figure.axes[:2]:
        assert all(label.get_window_extent().x0 >= 0 for label in axes.get_yticklabels())
