"""Accuracy against cost: the front, and what is drawn."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strangers import NAMES, draw

from tinybench.plots import pareto_front
from tinybench.plots.pareto_front import ParetoPoint


def point(name: str, accuracy: float, latency: float, size: float = 1.0, memory: float = 100.0) -> ParetoPoint:
    return ParetoPoint(
        name, accuracy, accuracy - 0.02, accuracy + 0.01, latency, 0.9 * latency, 1.3 * latency, size, memory
    )


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_those_that_none_beats(points: list[tuple[int, int]]) -> None:
    found = pareto_front.find_pareto_front([cost for cost, _ in points], [accuracy for _, accuracy in points])
    for place, (cost, accuracy) in enumerate(points):
        beaten = any(
            (other <= cost and better >= accuracy) and (other, better) != (cost, accuracy) for other, better in points
        )
        twin_is_there = points.index((cost, accuracy)) in found
        assert (place in found or twin_is_there) == (not beaten)
    costs = [points[place][0] for place in found]
    assert costs == sorted(set(costs))


def test_points_stand_where_they_are_measured() -> None:
    points = [point("small", 0.6, 1.0, 2.0, 50), point("large", 0.8, 30.0, 9.0, 500), point("slow", 0.5, 40.0, 1.0, 10)]
    figure = pareto_front.plot_pareto_front(points)
    latency, size, legend = figure.axes
    assert latency.collections[-1].get_offsets().tolist() == [[1, 0.6], [30, 0.8], [40, 0.5]]
    assert size.collections[-1].get_offsets().tolist() == [[2, 0.6], [9, 0.8], [1, 0.5]]
    areas = latency.collections[-1].get_sizes()
    assert areas[0] / areas[1] == pytest.approx(0.1)
    assert latency.lines[0].get_xdata().tolist() == [1, 30]
    assert size.lines[0].get_xdata().tolist() == [1, 2, 9]
    assert (latency.get_xscale(), size.get_xscale()) == ("log", "linear")
    assert legend.texts[0].get_text() == "1  small\n2  large\n3  slow"


def test_bars_are_the_intervals() -> None:
    (latency, size, _) = pareto_front.plot_pareto_front([point("a", 0.5, 10.0), point("b", 0.6, 20.0)]).axes
    ends = [np.array(each.get_segments()[0]) for each in latency.collections[:-1]]
    assert np.ptp(ends[0][:, 0]) == pytest.approx(4)  # 9 to 13
    assert np.ptp(ends[1][:, 1]) == pytest.approx(0.03)
    assert len(size.collections) == 2  # a size is exact


def test_names_of_strangers_and_a_single_point_can_be_drawn() -> None:
    figure = pareto_front.plot_pareto_front([point(name, 0.5, 1.0) for name in NAMES])
    draw(figure)
    (names,) = figure.axes[2].texts
    assert len(names.get_text().splitlines()) == len(NAMES)
    assert names.get_window_extent().x1 <= figure.bbox.x1
    alone = pareto_front.plot_pareto_front([point("one", 1.0, 1.0)])
    draw(alone)
    assert alone.axes[0].lines[0].get_xydata().tolist() == [[1, 1]]


def test_names_that_begin_alike_are_told_apart() -> None:
    names = [f"mobilenetv2_gluon_imagenet_notop on tiny-imagenet ({run})" for run in ("1f0e9a77", "1f0e2b13", "77c0d1")]
    legend = pareto_front.plot_pareto_front([point(name, 0.5, 1.0) for name in names]).axes[2]
    lines = legend.texts[0].get_text().splitlines()
    assert [line[3:7] for line in lines] == ["mobi"] * 3
    assert [line.rpartition("…")[2] for line in lines] == ["1f0e9a77)", "1f0e2b13)", "77c0d1)"]


def test_of_many_points_those_of_a_front_and_the_most_accurate_are_named() -> None:
    points = [point(f"model {number}", 0.9 - number / 1000, 100.0 + number) for number in range(60)]
    points[50] = point("cheap", 0.4, 1.0)
    lines = pareto_front.plot_pareto_front(points).axes[2].texts[0].get_text().splitlines()
    assert lines[:39] == [f"{number + 1}  model {number}" for number in range(39)]
    assert lines[39:] == ["51  cheap", "and 20 others without a number"]


@pytest.mark.parametrize(("low", "high"), [(3, 100), (1, 11), (0.01, 10_000)])
def test_ticks_of_a_logarithmic_axis_are_plain_numbers_apart(low: float, high: float) -> None:
    figure = pareto_front.plot_pareto_front([point("a", 0.5, low), point("b", 0.6, high)])
    draw(figure)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    ticks = [tick for tick in axes.xaxis.get_ticklabels() if tick.get_text()]
    left, right = axes.get_xlim()
    assert 2 <= sum(left <= tick.get_position()[0] <= right for tick in ticks) <= 5
    np.testing.assert_allclose([float(tick.get_text()) for tick in ticks], [tick.get_position()[0] for tick in ticks])
    assert not any(label.get_text() for label in axes.get_xticklabels(minor=True))


def test_the_table_has_a_row_a_point() -> None:
    points = [point("small", 0.6, 1.0, 2.0), point("large", 0.8, 30.0, 9.0), point("slow", 0.5, 40.0, 1.0)]
    rows = [*csv.DictReader(io.StringIO(pareto_front.pareto_front_csv(points)))]
    assert [row["name"] for row in rows] == ["small", "large", "slow"]
    assert [float(row["latency_high"]) for row in rows] == pytest.approx([1.3, 39, 52])
    assert [row["best_by_latency"] for row in rows] == ["True", "True", "False"]
    assert [row["best_by_size"] for row in rows] == ["True", "True", "True"]
