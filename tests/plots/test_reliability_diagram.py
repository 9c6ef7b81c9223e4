"""Confidence and accuracy: what is drawn is what was given."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from tinybench.evaluation.calibration import CalibrationBins
from tinybench.plots import reliability_diagram

BEFORE = CalibrationBins(np.array([0.2, 0.9]), np.array([0.5, 0.7]), np.array([10, 30]))
AFTER = CalibrationBins(np.array([0.4, 0.8, 1.0]), np.array([0.5, 0.7, 1.0]), np.array([10, 20, 10]))


def test_accuracy_against_confidence_with_counts_below() -> None:
    figure = reliability_diagram.plot_reliability_diagram(BEFORE, AFTER)
    top, *below = figure.axes
    diagonal, *lines = top.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    for bins, line, axes in zip((BEFORE, AFTER), lines, below, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), bins.confidence)
        np.testing.assert_array_equal(line.get_ydata(), bins.accuracy)
        np.testing.assert_array_equal([bar.get_height() for bar in axes.patches], bins.count)
        np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in axes.patches], bins.confidence)


def test_each_bin_has_the_interval_of_its_accuracy() -> None:
    top = reliability_diagram.plot_reliability_diagram(BEFORE).axes[0]
    (whiskers,) = top.collections
    ends = np.array([segment[:, 1] for segment in whiskers.get_segments()])
    np.testing.assert_allclose(ends, BEFORE.accuracy_interval())
    np.testing.assert_allclose(ends, [[0.2366, 0.7634], [0.5212, 0.8334]], atol=1e-4)  # Wilson, 5 of 10 and 21 of 30


def test_before_and_after_differ_by_more_than_colour() -> None:
    _, before, after = reliability_diagram.plot_reliability_diagram(BEFORE, AFTER).axes[0].lines
    assert before.get_marker() != after.get_marker()
    assert before.get_linestyle() != after.get_linestyle()


def test_the_errors_are_those_of_the_bins_unless_others_are_given() -> None:
    words = [
        text.get_text() for text in reliability_diagram.plot_reliability_diagram(BEFORE, AFTER).legends[0].get_texts()
    ]
    assert words == ["perfect calibration", "as trained, ECE 22.5%", "after temperature scaling, ECE 7.5%"]
    words = [
        text.get_text()
        for text in reliability_diagram.plot_reliability_diagram(BEFORE, AFTER, 0.5, 0.25).legends[0].get_texts()
    ]
    assert words[1:] == ["as trained, ECE 50.0%", "after temperature scaling, ECE 25.0%"]


@pytest.mark.parametrize("after", [None, AFTER])
def test_one_bin_can_be_drawn(after: CalibrationBins | None) -> None:
    one = CalibrationBins(np.array([1.0]), np.array([1.0]), np.array([1]))
    figure = reliability_diagram.plot_reliability_diagram(one, after)
    assert len(figure.axes) == (2 if after is None else 3)
    figure.savefig(io.BytesIO())


def test_the_table_has_a_row_a_bin() -> None:
    rows = [*csv.DictReader(io.StringIO(reliability_diagram.reliability_diagram_csv(BEFORE, AFTER)))]
    assert [row["model"] for row in rows] == ["as trained"] * 2 + ["after temperature scaling"] * 3
    for name, values in (("confidence", "confidence"), ("accuracy", "accuracy"), ("images", "count")):
        expected = np.concatenate([getattr(BEFORE, values), getattr(AFTER, values)])
        np.testing.assert_array_equal([float(row[name]) for row in rows], expected)
    assert len(reliability_diagram.reliability_diagram_csv(BEFORE).splitlines()) == 3
