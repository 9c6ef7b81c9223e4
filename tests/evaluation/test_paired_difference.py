"""The interval of a paired difference of accuracies: published values, symmetry, and how often it holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.evaluation.paired_difference import accuracy_difference


def pair(images, gained, lost):
    """Two models of which the first alone is right `gained` times, and the second alone `lost` times."""
    first, second = np.ones(images, bool), np.ones(images, bool)
    second[:gained] = False
    first[gained : gained + lost] = False
    return first, second


@pytest.mark.parametrize(
    ("images", "gained", "lost", "low", "high"),
    [
        (100, 0, 0, -0.0370, 0.0370),  # z^2 / (n + z^2), as the score interval of none in n
        (20, 0, 0, -0.1611, 0.1611),
        (20, 20, 0, 0.6777, 1.0),
        (359, 0, 1, -0.0156, 0.0078),
    ],
)
def test_known_values(images, gained, lost, low, high):
    found = accuracy_difference(*pair(images, gained, lost))
    assert found == pytest.approx(((gained - lost) / images, low, high), abs=1e-4)


def test_with_many_images_it_is_that_of_the_normal_approximation():
    value, low, high = accuracy_difference(*pair(100_000, 6000, 4000))
    spread = 1.959964 * np.sqrt((0.1 - value**2) / 100_000)
    assert (low, high) == pytest.approx((value - spread, value + spread), abs=2e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 60))
def test_it_lies_around_the_difference_and_turns_with_it(images, gained, lost):
    gained = min(gained, images)
    lost = min(lost, images - gained)
    value, low, high = accuracy_difference(*pair(images, gained, lost))
    assert -1 <= low <= value <= high <= 1
    assert low < high
    assert accuracy_difference(*pair(images, lost, gained)) == pytest.approx((-value, -high, -low), abs=1e-9)


def test_it_holds_the_truth_as_often_as_it_says():
    generator, held, times = np.random.default_rng(0), 0, 600
    for _ in range(times):
        drawn = generator.multinomial(1, [0.9, 0.06, 0.04], 150).argmax(axis=1)
        _, low, high = accuracy_difference(drawn != 2, drawn != 1)
        held += low <= 0.02 <= high
    assert 0.93 < held / times < 0.97
