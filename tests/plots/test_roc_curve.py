"""The macro-average ROC curve as a picture and as a table."""

from __future__ import annotations

import csv
import io

import numpy as np

from tinybench.plots import roc_curve

RATES, MEAN = np.array([0, 0, 0.5, 1]), np.array([0, 0.25, 0.75, 1])
LOW, HIGH = np.array([0, 0.125, 0.5, 1]), np.array([0, 0.5, 1, 1])


def test_the_mean_lies_in_its_band() -> None:
    figure = roc_curve.plot_roc_curve(RATES, MEAN, LOW, HIGH, 0.8125)
    (axes,) = figure.axes
    mean, chance = axes.lines
    np.testing.assert_array_equal(mean.get_xydata(), np.stack([RATES, MEAN], axis=1))
    assert chance.get_xydata().tolist() == [[0, 0], [1, 1]]
    corners = {tuple(point) for point in axes.collections[0].get_paths()[0].vertices.tolist()}
    assert corners == {*zip(RATES, LOW, strict=True), *zip(RATES, HIGH, strict=True)}
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["10th to 90th percentile of classes", "mean of classes, area 0.812", "chance"]
    figure.savefig(io.BytesIO())


def test_a_perfect_classifier_can_be_drawn() -> None:
    ones = np.array([0.0, 1, 1])
    figure = roc_curve.plot_roc_curve(np.array([0.0, 0, 1]), ones, ones, ones, 1)
    figure.savefig(io.BytesIO())
    mean = figure.axes[0].lines[0].get_xydata()
    assert mean.tolist() == [[0, 0], [0, 1], [1, 1]]
    assert "mean of classes, area 1.000" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_the_table_has_a_row_a_point() -> None:
    rows = [*csv.reader(io.StringIO(roc_curve.roc_curve_csv(RATES, MEAN, LOW, HIGH)))]
    assert rows[0] == ["false_positive_rate", "true_positive_rate", "low", "high"]
    np.testing.assert_array_equal(np.array(rows[1:], float), np.stack([RATES, MEAN, LOW, HIGH], axis=1))
