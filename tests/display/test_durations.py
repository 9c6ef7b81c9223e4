"""Durations for people."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench.display.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (3.21, "3.2 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (36_061, "10 h 01 min"),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


@given(st.floats(0, 1e7))
def test_a_duration_says_what_it_is(seconds):
    text = format_duration(seconds)
    units = {"h": 3600, "min": 60, "s": 1}
    parts = [(float(number), unit) for number, unit in re.findall(r"([\d.]+) (h|min|s)", text)]
    assert all(number < 60 for number, unit in parts if unit != "h")
    assert abs(sum(number * units[unit] for number, unit in parts) - seconds) <= (60 if " h" in text else 0.5)
