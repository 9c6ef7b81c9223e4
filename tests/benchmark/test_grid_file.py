from __future__ import annotations

from pathlib import Path

import pytest

from tinybench.benchmark import grid_file
from tinybench.core.errors import ConfigError

TEXT = """\
[benchmark]
models = ["smallcnn", "vgg10"]
datasets = "digits"
recipes = ["quickstart"]
seeds = 3
workers = 2

[settings]
transfer.epochs = 2

[models.vgg10]
network.filters = [4, 8]
"""


def test_a_file_has_the_grid():
    grid, workers = grid_file.read(TEXT, "small")
    assert (grid.name, grid.models, grid.datasets, grid.recipes) == (
        "small",
        ("smallcnn", "vgg10"),
        ("digits",),
        ("quickstart",),
    )
    assert (grid.seeds, workers) == ((0, 1, 2), 2)
    assert grid.settings == {"transfer.epochs": 2}
    assert grid.model_settings == {"vgg10": {"network.filters": [4, 8]}}
    assert len(grid.build_cells()) == 6


def test_options_replace_what_the_file_says():
    axes = {"models": ("vgg10",), "datasets": (), "recipes": (), "seeds": (5,)}
    grid, _ = grid_file.read(TEXT, "small", {"transfer.epochs": "7"}, axes=axes)
    assert (grid.models, grid.datasets, grid.seeds) == (("vgg10",), ("digits",), (5,))
    assert {cell.transfer.epochs for cell in grid.build_cells()} == {7}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[settings]", "[setings]", "line 8: unknown key `setings`: expected one of benchmark, settings, models."),
        ("seeds = 3", "seed = 3", "line 5: unknown key `seed`: expected one of name, models"),
        ("seeds = 3", "seeds = 0", "line 5: `seeds`: expected 3 or [0, 1, 7] for example, got 0."),
        ("seeds = 3", "seeds = [1, 1]", "line 5: `seeds`: expected 3 or [0, 1, 7]"),
        ("seeds = 3", "seeds = [-1]", "line 5: Invalid value for `seed`: expected"),
        ("seeds = 3", "seeds = true", "line 5: `seeds`: expected 3"),
        ("workers = 2", "workers = 0", "line 6: `workers`: expected a whole number of at least 1, got 0."),
        ('"vgg10"]', '"smallcnn"]', "line 2: `models` has 'smallcnn' twice."),
        ('datasets = "digits"', "datasets = []", "line 3: `datasets` is missing in [benchmark]"),
        ('datasets = "digits"', "datasets = 3", "line 3: `datasets`: expected text or a list of texts, got 3."),
        ('"quickstart"', '"quickstrat"', "line 4: "),
        ("transfer.epochs = 2", "transfer.epochs = -2", "line 9: Invalid value for `transfer.epochs`"),
        ("transfer.epochs = 2", "transfer.warmp = 2", "line 9: Unknown key `transfer.warmp`: did you mean"),
        ("transfer.epochs = 2", 'model = "vgg16"', "line 9: `model` is no setting of all cells: give `models`"),
        ("transfer.epochs = 2", 'track.uri = "x"', "line 9: `track.uri` is no setting of cells: give"),
        ("transfer.epochs = 2", 'data.labels = "coarse"', "line 9: `data.labels` would have no effect in any cell: "),
        ("[models.vgg10]", "[models.vgg19]", "line 11: 'vgg19' is none of the models of this benchmark."),
        ("network.filters = [4, 8]", "scratch.epochs = 3", "line 12: `scratch.epochs` would have no effect"),
        ("network.filters = [4, 8]", "transfer.warmup = 9", "line 11: vgg10: Invalid value for `transfer.warmup`"),
        ("[benchmark]", '[benchmark]\nname = "a/b"', "line 2: Invalid value for `--name`"),
        ("[benchmark]", "[benchmark", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(old, new, expected):
    with pytest.raises(ConfigError) as caught:
        grid_file.read(TEXT.replace(old, new), "small", file_name="small.toml")
    assert str(caught.value).startswith("small.toml")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_shipped_benchmark_can_be_read():
    path = Path(__file__).parents[2] / "sweeps" / "benchmark.toml"
    grid, _ = grid_file.read(path.read_text(), path.stem, file_name=path.name)
    cells = grid.build_cells()
    assert len(cells) == len(grid.models) * len(grid.datasets) * len(grid.recipes) * len(grid.seeds) > 1


def test_a_file_may_ask_for_a_halving():
    text = '[benchmark]\nmodels = ["resnet50"]\ndatasets = ["cifar10"]\n'
    assert not grid_file.read(text, "g")[0].halving
    assert grid_file.read(text + "halving = true\n", "g")[0].halving
    with pytest.raises(ConfigError, match=r"g, line 4: `halving`: expected true or false, got 'yes'"):
        grid_file.read(text + 'halving = "yes"\n', "g")
