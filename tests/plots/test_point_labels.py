"""Labels of points: beside their point, within the plot, and on no other label."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_texts import DPI, list_faults
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from tinybench.plots import style
from tinybench.plots.point_labels import label_points


def labelled(positions: list[tuple[float, float]]) -> tuple[Figure, list[int]]:
    figure = style.new_figure(4, 3)
    axes = figure.subplots()
    axes.scatter(*np.transpose(positions))
    return figure, label_points(axes, positions, [f"label {number}" for number in range(len(positions))])


def labels_of(figure: Figure) -> list[Annotation]:
    return [text for text in figure.axes[0].texts if isinstance(text, Annotation)]


def test_a_label_stands_beside_its_point_without_a_line() -> None:
    figure, absent = labelled([(0, 0), (1, 1), (0.4, 0.7)])
    assert absent == []
    assert [label.get_text() for label in labels_of(figure)] == ["label 0", "label 1", "label 2"]
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    for label in labels_of(figure):
        assert label.arrow_patch is None
        distance = label.get_window_extent().get_points() - figure.axes[0].transData.transform(label.xy)
        assert np.abs(distance).min() < 12 * DPI / 72


@pytest.mark.parametrize("count", [2, 12, 20])
def test_labels_of_points_in_one_place_do_not_cover_one_another(count: int) -> None:
    figure, absent = labelled([(1.0, 1.0)] * count)
    assert absent == []
    assert any(label.arrow_patch is not None for label in labels_of(figure)) == (count > 8)
    assert list_faults(figure) == []


def test_labels_without_room_are_named_the_last_first() -> None:
    figure, absent = labelled([(1.0, 1.0)] * 100)
    assert len(labels_of(figure)) + len(absent) == 100
    assert absent == [*range(100 - len(absent), 100)]
    assert list_faults(figure) == []


def test_points_in_a_grid_are_all_labelled() -> None:
    figure, absent = labelled([(x / 4, y / 4) for x in range(5) for y in range(5)])
    assert absent == []
    assert list_faults(figure) == []
