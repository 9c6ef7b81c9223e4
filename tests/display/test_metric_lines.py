"""Figures as text."""

from __future__ import annotations

import math

from tinybench.display import metric_lines


def test_an_interval_stands_behind_its_figure_and_is_said_to_be_none_where_there_is_none() -> None:
    found = {"test/accuracy": 0.5, "test/accuracy_low": 0.4, "test/accuracy_high": 0.6, "test/images": 1200.0}
    found |= {"test/mcc": 1.0, "test/mcc_low": math.nan, "test/mcc_high": math.nan, "test/classes": 3.0}
    lines = [line.split(None, 1) for line in metric_lines.format_metrics(found).splitlines()]
    assert lines == [
        ["test/accuracy", "0.5000   [0.4000, 0.6000]"],
        ["test/images", "1,200"],
        ["test/mcc", "1.0000   (no interval: all resamples of the images are alike)"],
        ["test/classes", "3"],
    ]
