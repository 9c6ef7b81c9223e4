"""Columns show what runs log, and sort a board without changing its ranks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import cast

import measured_costs
import pytest
from made_boards import MadeStore, build_board

from tinybench.core.errors import ConfigError
from tinybench.efficiency import measurement_worker
from tinybench.efficiency.measurement_worker import PartialMeasurement
from tinybench.efficiency.model_cost import ModelCost
from tinybench.efficiency.training_cost import GpuUsage
from tinybench.hardware.nvml import GpuSampler
from tinybench.leaderboard.board_columns import (
    COLUMN_SETS,
    COLUMNS,
    DEFAULT_COLUMNS,
    check_sort,
    choose_columns,
    parse_columns,
    sort_board,
)
from tinybench.leaderboard.dataset_board import DatasetBoard

LOWER_FIRST = (
    *("loss", "ece", "val_loss", "parameters", "size", "p50", "p99", "gpu", "memory", "energy"),
    *("training", "training_energy"),
)
HIGHER_FIRST = ("top1", "top5", "balanced", "f1", "auc", "val_top1", "val_top5")


def names(board: DatasetBoard) -> list[str]:
    return [row.name for row in board.rows]


def test_columns_of_metrics_sort_by_them_with_the_best_first(made: MadeStore):
    every = [COLUMNS[name].metric for name in LOWER_FIRST + HIGHER_FIRST if name != "top1"]
    for model, wrong, value in (("middle", 30, 0.02), ("low", 40, 0.01), ("high", 20, 0.03)):
        made.add(model, 0, made.correct(wrong), metrics=dict.fromkeys(every, value))
    made.add("without", 0, made.correct(50))
    board = build_board(made)
    for name in LOWER_FIRST + HIGHER_FIRST:
        expected = ["low", "middle", "high"] if name in LOWER_FIRST else ["high", "middle", "low"]
        if name == "top1":
            assert names(sort_board(board, name)) == [*expected, "without"]
            assert names(sort_board(board, f"-{name}")) == ["without", *reversed(expected)]
        else:
            assert names(sort_board(board, name)) == [*expected, "without"]
            assert names(sort_board(board, f"-{name}")) == [*reversed(expected), "without"]


def test_every_column_has_a_direction_that_is_tested():
    metric_columns = {name for name, column in COLUMNS.items() if column.metric}
    assert metric_columns == {*LOWER_FIRST, *HIGHER_FIRST}


@pytest.fixture
def ranked(made: MadeStore) -> MadeStore:
    """Runs of three models: `b` is the best and varies most, and `C` has one run."""
    for seed, wrong in enumerate((2, 6, 10)):
        made.add("b", seed, made.correct(wrong))
        made.add("a", seed, made.correct(100 + wrong // 2))
    made.add("C", 0, made.correct(200))
    return made


def test_columns_that_are_no_metrics_sort_too(ranked: MadeStore):
    board = build_board(ranked)
    orders = {
        "rank": "b a C",
        "-rank": "C a b",
        "model": "a b C",
        "-model": "C b a",
        "value": "b a C",
        "-value": "C a b",
        "interval": "b a C",
        "sd": "a b C",
        "-sd": "b a C",
        "seeds": "b a C",
        "-seeds": "C b a",
        "phase": "b a C",
        "published": "b a C",
        "reproduced": "b a C",
    }
    for sort, expected in orders.items():
        sorted_board = sort_board(board, sort)
        assert names(sorted_board) == expected.split(), sort
        assert {row.name: row.ranks for row in sorted_board.rows} == {row.name: row.ranks for row in board.rows}
        assert sorted_board.pairs == board.pairs


def test_the_value_of_a_loss_sorts_the_lowest_first(ranked: MadeStore):
    board = build_board(ranked, metric="log_loss")
    assert names(sort_board(board, "value")) == ["b", "a", "C"]
    assert names(sort_board(board, "-value")) == ["C", "a", "b"]


def test_the_place_beside_what_was_published_sorts(made: MadeStore):
    for model, wrong in {"vgg16": 170, "resnet50": 30, "efficientnetb0": 300}.items():
        made.add(model, 0, made.correct(wrong), params={"recipe": "tiny-imagenet-tlft"})
    made.add("smallcnn", 0, made.correct(0))
    board = build_board(made)
    assert names(sort_board(board, "reproduced")) == ["resnet50", "vgg16", "efficientnetb0", "smallcnn"]
    assert names(sort_board(board, "published")) == ["resnet50", "efficientnetb0", "vgg16", "smallcnn"]


@pytest.mark.parametrize("sort", ["p5", "-p5", "--p50", "", "-"])
def test_a_column_that_there_is_not_is_refused(sort: str):
    with pytest.raises(ConfigError, match=r"Invalid value for `sort`: expected one of rank, model, .*, got '"):
        check_sort(sort)


def test_sets_of_columns_are_taken_with_others():
    assert parse_columns("costs, f1,p50") == (*COLUMN_SETS["costs"], "f1")
    assert parse_columns("default") == DEFAULT_COLUMNS
    with pytest.raises(
        ConfigError, match=r"one of the sets default, costs, transfer-table, got 'cost'. Did you mean 'costs'"
    ):
        parse_columns("model,cost")


def test_a_column_that_repeats_the_value_is_left_out(ranked: MadeStore):
    titles = [column.title for column in choose_columns(build_board(ranked), ("model", "value", "top1"))]
    assert titles == ["model", "top-1"]
    assert [column.title for column in choose_columns(build_board(ranked), ("top1",))] == ["test top-1"]


def logged_costs(device: str) -> set[str]:
    """The names under which the costs of a model are logged, with those of a GPU by the function that adds them."""
    measured = PartialMeasurement(dict(measured_costs.measured(1.0, device=device).metrics))
    if device == "gpu":
        samples = {"memory_bytes": 1e9, "interval_seconds": 0.01, "joules": 50.0}
        with suppress(ValueError):  # the allocator of a GPU comes last, and TensorFlow finds none here
            measurement_worker._add_gpu_metrics(measured, samples, images=200)
        assert measured.metrics["joules_per_1000_images"] == 250
    measurement = replace(measured_costs.measured(1.0, device=device), metrics=measured.metrics)
    return {*ModelCost(measurement.spec, (measurement,)).logged_metrics}


class Sampled:
    """A sampler that has sampled the energy of a training."""

    def metrics(self) -> dict[str, float]:
        return {"memory_bytes": 1e9, "joules": 9000.0, "interval_seconds": 0.01}


def test_costs_are_read_by_the_names_under_which_they_are_logged():
    logged = logged_costs("cpu") | logged_costs("gpu") | {*GpuUsage(cast(GpuSampler, Sampled())).metrics()}
    shown = {column.metric for column in COLUMNS.values() if column.metric.startswith("efficiency/")}
    assert shown - logged == {"efficiency/training_seconds"}


def test_energy_is_shown_with_its_unit(made: MadeStore):
    metrics = {"efficiency/gpu_joules_per_1000_images": 251.4, "efficiency/training_joules": 9000.0}
    made.add("a", 0, made.correct(20), metrics=metrics)
    board = build_board(made)
    shown = {
        column.title: column.read(board.rows[0]) for column in choose_columns(board, ("energy", "training_energy"))
    }
    assert shown == {"GPU J per 1,000 images": "251", "training kJ": "9"}
