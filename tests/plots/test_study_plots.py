"""Pictures of studies show what they are given, in any case that a study can come to."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tinybench.plots import study_plots
from tinybench.plots.study_plots import ParameterAxis, StudyTrial

AXES = [
    ParameterAxis("transfer.lr", True, None),
    ParameterAxis("head.dropout", False, None),
    ParameterAxis("optimizer.name", False, ("adam", "sgd")),
]


def trials(count, pruned=()):
    random = np.random.default_rng(0)
    return [
        StudyTrial(
            number,
            (float(random.random()), float(random.random())),
            number in pruned,
            {
                "transfer.lr": float(10 ** random.uniform(-5, -2)),
                "head.dropout": float(random.random()),
                "optimizer.name": ("adam", "sgd")[number % 2],
            },
            {epoch: float(random.random()) for epoch in range(1, 4)},
        )
        for number in range(count)
    ]


def test_history_keeps_the_best_so_far():
    given = trials(9, pruned=(4,))
    for rising, best in ((True, np.maximum), (False, np.minimum)):
        axes = study_plots.plot_optimization_history(given, "val/accuracy", maximize=rising).axes[0]
        line = axes.lines[0].get_ydata()
        assert np.array_equal(line[:-1], best.accumulate([t.values[0] for t in given if not t.pruned]))
        assert line[-1] == line[-2]  # to the last trial, whatever became of it
        assert len(axes.collections[1].get_offsets()) == 1
        assert axes.get_ylabel() == "val/accuracy"


def test_curves_have_a_line_a_trial_with_the_best_on_top():
    axes = study_plots.plot_intermediate_values(trials(5, pruned=(2,)), "val/accuracy", best=3).axes[0]
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    assert len(drawn) == 5
    assert drawn[-1].get_linewidth() == 2


def test_importance_has_a_bar_a_parameter_the_greatest_on_top():
    axes = study_plots.plot_param_importances({"a": 0.2, "b": 0.7, "c": 0.1}, "val/accuracy", 9).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.7]


def test_slices_have_a_panel_a_parameter_on_its_own_scale():
    figure = study_plots.plot_slice(trials(7), AXES, "val/accuracy")
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    assert [axes.get_xlabel() for axes in panels][:3] == [axis.key for axis in AXES]
    assert panels[0].get_xscale() == "log"
    assert [label.get_text() for label in panels[2].get_xticklabels()] == ["adam", "sgd"]
    assert all(len(axes.collections[0].get_offsets()) == 7 for axes in panels[:3])


@pytest.mark.parametrize("rising", [True, False])
def test_parallel_coordinates_have_a_line_a_trial_with_the_best_on_top(rising):
    given = trials(6)
    axes = study_plots.plot_parallel_coordinate(given, AXES, "val/accuracy", maximize=rising).axes[0]
    lines = axes.lines[:6]
    assert all(0 <= height <= 1 for line in lines for height in line.get_ydata())
    best = (max if rising else min)(given, key=lambda trial: trial.values[0])
    place = [trial.params["optimizer.name"] for trial in given].index(best.params["optimizer.name"])
    assert lines[-1].get_ydata()[2] == float(best.params["optimizer.name"] == "sgd")
    assert place >= 0


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 2), (2, 1)])
@pytest.mark.parametrize("count", [3, 20])
def test_a_contour_shows_every_trial_whatever_the_axes(count, first, second):
    axes = study_plots.plot_contour(trials(count), AXES[first], AXES[second], "val/accuracy").axes[0]
    assert max(len(collection.get_offsets()) for collection in axes.collections) == count


def test_a_contour_of_trials_on_one_line_has_no_levels():
    given = [StudyTrial(n, (n / 9,), False, {"transfer.lr": 1e-3, "head.dropout": n / 10}, {}) for n in range(9)]
    figure = study_plots.plot_contour(given, AXES[0], AXES[1], "val/accuracy")
    assert len(figure.axes[0].collections) == 1


def test_a_front_is_joined_and_numbered():
    axes = study_plots.plot_pareto_front(
        trials(6), ["val/accuracy", "efficiency/flops"], front=[1, 4], minimize_second=True
    ).axes[0]
    assert len(axes.lines[0].get_xdata()) == 2
    assert {text.get_text() for text in axes.texts} == {"1", "4"}


def test_a_trial_that_did_not_draw_a_parameter_is_in_the_picture_all_the_same():
    given = trials(5)
    short = {key: value for key, value in given[2].params.items() if key != "transfer.lr"}
    given[2] = StudyTrial(2, (2.0, 0.0), False, short, {})
    axes = study_plots.plot_parallel_coordinate(given, AXES, "val/accuracy", maximize=True).axes[0]
    assert len(axes.lines) == 5 + len(AXES)
    assert axes.lines[4].get_ydata()[0] < 0  # the best, on top
    assert "not set" in {text.get_text() for text in axes.texts}


@pytest.mark.parametrize("decades", [0.5, 2, 6])
def test_marks_of_a_logarithmic_axis_can_be_read(decades):
    given = [
        StudyTrial(n, (n / 9,), False, {"transfer.lr": 1e-6 * 10 ** (decades * n / 9), "head.dropout": n % 3 / 10}, {})
        for n in range(10)
    ]
    figure = study_plots.plot_slice(given, AXES[:2], "val/accuracy")
    figure.draw_without_rendering()
    panel = figure.axes[0]
    low, high = panel.get_xlim()
    marks = [tick for tick in panel.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    boxes = sorted((tick.label1.get_window_extent() for tick in marks), key=lambda box: box.x0)
    assert len(boxes) >= 1
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert all(not label.get_text() for label in panel.get_xticklabels(minor=True))
