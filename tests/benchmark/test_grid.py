from __future__ import annotations

import pytest

from tinybench.benchmark.grid import Grid, check_name, describe_cell, make_name
from tinybench.core.errors import ConfigError


def test_a_grid_has_a_cell_for_each_combination_and_all_models_before_the_next_seed():
    grid = Grid("g", ("smallcnn", "vgg10"), ("digits", "mnist"), ("quickstart",), (0, 7), {"batch_size": 8})
    cells = grid.build_cells()
    places = [(cell.seed, cell.dataset, cell.model) for cell in cells]
    assert places[:3] == [(0, "digits", "smallcnn"), (0, "digits", "vgg10"), (0, "mnist", "smallcnn")]
    assert len(set(places)) == 8
    assert {cell.batch_size for cell in cells} == {8}


def test_a_setting_holds_where_it_has_an_effect_and_is_left_out_elsewhere():
    settings = {"network.filters": "4,8", "data.labels": "coarse"}
    first, second = Grid("g", ("vgg10", "resnet50"), ("cifar100",), settings=settings).build_cells()
    assert (first.network.filters, second.network.filters) == ((4, 8), None)
    assert first.data.labels == second.data.labels == "coarse"


def test_a_setting_without_effect_in_any_cell_is_refused():
    with pytest.raises(ConfigError, match=r"^`data.labels` would have no effect in any cell: only cifar100"):
        Grid("g", ("vgg10", "simple5"), ("digits",), settings={"data.labels": "coarse"}).build_cells()


def test_settings_of_one_model_are_those_of_its_cells_alone():
    grid = Grid(
        "g", ("smallcnn", "simple5"), ("digits",), ("quickstart",), model_settings={"simple5": {"batch_size": 4}}
    )
    assert [cell.batch_size for cell in grid.build_cells()] == [32, 4]


def test_without_a_recipe_a_small_network_is_trained_from_scratch_as_by_train():
    small, large = Grid("g", ("vgg10", "resnet50"), ("digits",)).build_cells()
    assert (small.phases, small.weights) == (("scratch",), "none")
    assert (large.phases, large.weights) == (("transfer", "finetune"), "imagenet")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".hidden", "x" * 101, "a'b"])
def test_a_name_that_no_folder_should_have_is_refused(name):
    with pytest.raises(ConfigError, match="Invalid value for `--name`"):
        check_name(name)


@pytest.mark.parametrize(
    ("models", "datasets", "expected"),
    [
        (("resnet50", "vgg16"), ("cifar10",), "resnet50-vgg16-cifar10"),
        (("/a/My Net.keras",), ("folder:/data/Füße",), "My-Net-F-e"),
        (("m" * 50, "n" * 50), ("digits",), "m" * 50 + "-" + "n" * 9),
    ],
)
def test_a_name_is_made_of_models_and_data(models, datasets, expected):
    assert check_name(make_name(models, datasets)) == expected


def test_a_cell_is_described_in_a_line():
    assert describe_cell(Grid("g", ("vgg10",), ("digits",), ("quickstart",), (3,)).build_cells()[0]) == (
        "transfer and finetune of vgg10 on digits (quickstart, seed 3)"
    )
