"""What is not defined is no text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinybench.core.csv_text import to_csv
from tinybench.core.metric_text import format_interval, format_metric, is_defined, with_interval

NAN = math.nan


def test_an_interval_is_shown_where_it_is_known():
    assert with_interval(0.91234, 0.88, 0.93) == "0.9123 [0.88, 0.93]"
    assert with_interval(0.01, -0.02, 0.04, "+.4f") == "+0.0100 [-0.0200, +0.0400]"
    assert with_interval(2.0, None, None) == "2"


@pytest.mark.parametrize(("low", "high"), [(None, None), (NAN, NAN), (0.1, NAN), (NAN, 0.1), (None, 0.1)])
def test_without_both_ends_there_is_no_interval(low, high):
    assert format_interval(low, high) == ""
    assert with_interval(1.0, low, high, ".4f") == "1.0000"
    assert not is_defined(low, high)


@pytest.mark.parametrize("value", [None, NAN, np.float64("nan"), np.float32("nan")])
def test_a_metric_that_is_not_defined_is_no_text(value):
    assert format_metric(value) == ""
    assert with_interval(value, 0.1, 0.2) == ""


def test_csv_has_empty_fields_for_what_is_not_defined():
    rows = [("nan", 0.5, NAN), ("b", np.float32("nan"), None), ("c", np.float64("nan"), 3)]
    assert to_csv(["class", "low", "high"], rows, line_end="\n") == "class,low,high\nnan,0.5,\nb,,\nc,,3\n"
