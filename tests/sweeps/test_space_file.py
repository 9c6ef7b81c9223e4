"""A space is what its file says; a mistake is told with its line before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import TEXT

from tinybench.commands.sweep import run_sweep
from tinybench.core.errors import ConfigError
from tinybench.sweeps import space_file
from tinybench.sweeps.space import COSTS, Objective

SHIPPED = sorted(
    file for file in (Path(__file__).parents[2] / "sweeps").glob("*.toml") if file.stem != "benchmark"
)  # which is a grid

GOOD = """\
recipe = "quickstart"
objective = "val/loss"
trials = 4
[settings]
phases = "transfer"
head.hidden = 32
[space]
transfer.lr = { distribution = "log-uniform", low = 1e-4, high = 1e-2 }
head.dropout = { distribution = "uniform", low = 0.0, high = 0.5, step = 0.25 }
batch_size = { distribution = "integer", low = 8, high = 32 }
optimizer.name = { distribution = "categorical", choices = ["adam", "sgd"] }
optimizer.momentum = { distribution = "uniform", low = 0.0, high = 0.9, when = { optimizer.name = "sgd" } }
[[first]]
transfer.lr = 1e-3
"""


def test_what_a_file_says():
    found = space_file.read(GOOD, "good")
    assert [each.key for each in found.parameters] == [
        "transfer.lr",
        "head.dropout",
        "batch_size",
        "optimizer.name",
        "optimizer.momentum",
    ]
    assert found.objectives == (Objective("val/loss", "minimize"),)
    assert found.base.head.hidden == 32
    assert found.base.phases == ("transfer",)
    assert not found.base.track.pictures
    assert found.first_values == ({"transfer.lr": 1e-3},)
    assert (found.trials, found.minutes, found.seeds, found.sampler, found.pruner) == (4, None, 1, "tpe", "none")


def test_a_condition_decides_what_is_drawn():
    momentum = space_file.read(GOOD, "good").parameters[-1]
    values = space_file.read(GOOD, "good").base.flat()
    assert momentum.is_active(values | {"optimizer.name": "sgd"})
    assert not momentum.is_active(values | {"optimizer.name": "adam"})


def test_what_is_given_beside_the_file_is_fixed_and_not_searched():
    found = space_file.read(GOOD, "good", {"transfer.lr": "1e-3", "head.l2": "0.5", "trials": 9, "minutes": 2.5})
    assert "transfer.lr" not in [each.key for each in found.parameters]
    assert found.base.transfer.lr == 1e-3
    assert found.base.head.l2 == 0.5
    assert (found.trials, found.minutes) == (9, 2.5)
    assert found.first_values == ({},)


def test_tables_are_as_good_as_dots():
    nested = GOOD.replace("transfer.lr = {", '"transfer.lr" = {').replace("[settings]\n", "[settings]\nseed = 3\n")
    assert space_file.read(nested, "x").parameters[0].key == "transfer.lr"
    inside = '[space.transfer]\nlr = { distribution = "uniform", low = 0.1, high = 0.2 }\n'
    found = space_file.read('trials = 1\nrecipe = "quickstart"\n' + inside, "x")
    assert found.parameters[0].key == "transfer.lr"


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_shipped_spaces_can_be_read(file):
    found = space_file.read(file.read_text(), file.stem)
    assert found.parameters
    assert found.trials


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_mistake(tmp_path, encoding):
    file = tmp_path / "small.toml"
    file.write_text('recipe = "quickstart"\ntrails = 1\n', encoding)
    with pytest.raises(ConfigError, match=r"small.toml, line 2: .*`trails`"):
        run_sweep(file)


def test_another_encoding_is_told_with_the_way_out(tmp_path):
    file = tmp_path / "small.toml"
    file.write_bytes("# café\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"space .*small.toml: it is not UTF-8 text: save it as UTF-8\.$"):
        run_sweep(file)


def test_there_are_shipped_spaces():
    names = {"transfer", "finetune", "joint", "scratch", "pareto", "regularisation"}
    assert {file.stem for file in SHIPPED} == names


MISTAKES = [
    ("trials = 4", "trials = 0", 3, "`trials`: expected a whole number of at least 1, got 0"),
    ("trials = 4", "minutes = -1", 3, "`minutes`: expected a number above 0, got -1"),
    ("trials = 4\n", "", None, "no budget: give trials or minutes"),
    ("trials = 4", "trial = 4", 3, "unknown key `trial`"),
    ('"quickstart"', '"quickstar"', 1, "quickstar"),
    ('"val/loss"', '"test/accuracy"', 2, "would choose by the test images"),
    ('"val/loss"', '"val/f1"', 2, "unknown objective 'val/f1'"),
    ("transfer.lr = { d", "transfer.rate = { d", 8, "Unknown key `transfer.rate`: did you mean `transfer.lr`?"),
    ("low = 1e-4, high = 1e-2", "low = 1e-2, high = 1e-4", 8, "expected low below high"),
    ("low = 1e-4, high = 1e-2", "low = 0.0, high = 1e-2", 8, "begins above 0"),
    ("low = 1e-4, high = 1e-2", "high = 1e-2", 8, "`low` is missing"),
    ("low = 1e-4, high = 1e-2", "low = 'a', high = 1e-2", 8, "expected a number for `low`, got 'a'"),
    ("low = 1e-4, high = 1e-2", "low = 1e-4, high = 1e-2, stop = 1", 8, "has no `stop`"),
    ("log-uniform", "loguniform", 8, "expected a distribution of uniform, log-uniform"),
    (
        "high = 0.5, step",
        "high = 1.0, step",
        9,
        "uniform does not fit `head.dropout`, which would be drawn as 1.",
    ),
    ("step = 0.25", "step = 2", 9, "expected a step above 0 and within the range"),
    ('"integer", low = 8', '"uniform", low = 8', 10, "uniform does not fit `batch_size`, which would be drawn as"),
    ("low = 8, high", "low = 0, high", 10, "Invalid value for `batch_size`"),
    ("low = 8, high", "low = 8.5, high", 10, "whole numbers"),
    ('["adam", "sgd"]', '["adam", "rmsprop"]', 11, "Invalid value for `optimizer.name`"),
    ('["adam", "sgd"]', '["adam"]', 11, "at least two choices"),
    ('["adam", "sgd"]', '["adam", "adam"]', 11, "given twice"),
    ('name = "sgd" }', 'nam = "sgd" }', 12, "Unknown key `optimizer.nam`"),
    ('optimizer.name = "sgd" }', 'head.pooling = "max" }', 12, "`head.pooling` is never 'max'"),
    ("transfer.lr = 1e-3", "transfer.lr = 1.0", 14, "out of its range"),
    ("head.hidden = 32", "head.hidden = 32\nhead.dropout = 0.1", 10, "both in [settings] and in [space]"),
    ("head.hidden = 32", "head.hidden = -1", 6, "Invalid value for `head.hidden`"),
    ("batch_size = {", "data.validation = {", 10, "cannot be searched"),
    ("transfer.lr = { d", "finetune.lr = { d", 8, "has no effect: `phases` is transfer"),
    ("batch_size = { distribution = ", "batch_size = 3 #", 10, "expected a table with a distribution, got 3"),
    ("[settings]", "[setting]", None, "unknown key `setting`"),
    ("trials = 4", 'trials = 4\npruner = "best"', 4, "`pruner`: expected one of none, median, hyperband"),
    ("trials = 4", 'trials = 4\nsampler = { name = "tpe", sed = 1 }', 4, "`sampler` has no `sed`"),
    ("trials = 4", 'trials = 4\nsampler = { name = "tpe", seed = "x" }', 4, "`seed`: expected a whole number"),
    ('objective = "val/loss"', 'objective = "efficiency/flops"\npruner = "median"', 3, "is not known by epoch"),
    ("head.hidden = 32", 'track.experiment = "mine"', 6, "give it on the command line, as --track.experiment"),
    ('optimizer.name = "sgd" }', "transfer.lr = 1e-3 }", 12, "takes any value of a range"),
    ("trials = 4", "trials = ", 3, "not valid TOML"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "words"), MISTAKES, ids=[words for *_, words in MISTAKES])
def test_a_mistake_is_told_with_its_line(right, wrong, line, words):
    assert right in GOOD
    with pytest.raises(ConfigError) as caught:
        space_file.read(GOOD.replace(right, wrong, 1), "good", file_name="sweeps/good.toml")
    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    assert said.startswith("sweeps/good.toml")
    assert line is None or f"line {line}" in said


def test_several_objectives_have_a_direction_each_and_no_pruner():
    two = GOOD.replace('"val/loss"', '["val/accuracy", "efficiency/cpu_latency_p50_ms"]')
    found = space_file.read(two, "two")
    assert [each.direction for each in found.objectives] == ["maximize", "minimize"]
    assert found.measures_time
    assert found.measures_costs
    with pytest.raises(ConfigError, match="cannot be pruned"):
        space_file.read(two.replace("trials = 4", 'trials = 4\npruner = "median"'), "two")


@pytest.mark.parametrize("figure", COSTS)
def test_every_cost_is_measured_but_that_which_a_training_says(figure):
    found = space_file.read(GOOD.replace("val/loss", figure), "cost")
    assert found.measures_costs == (figure != "efficiency/training_seconds")
    assert found.measures_time == ("latency" in figure or "seconds" in figure)


@pytest.mark.parametrize(("value", "fits"), [(0.25, True), (0.5, True), (0.3, False), (0.6, False), (True, False)])
def test_values_to_try_first_lie_on_the_steps_of_their_range(value, fits):
    text = GOOD + f"head.dropout = {str(value).lower()}\n"
    if fits:
        assert space_file.read(text, "good").first_values[0]["head.dropout"] == value
    else:
        with pytest.raises(ConfigError, match=r"good, line 15: `head.dropout` cannot be .* or between its steps"):
            space_file.read(text, "good")


@pytest.mark.parametrize(
    ("name", "given", "gone"),
    [
        ("joint", {"optimizer.name": "adam"}, {"optimizer.name", "optimizer.momentum", "optimizer.weight_decay"}),
        ("joint", {"optimizer.name": "sgd"}, {"optimizer.name", "optimizer.weight_decay"}),
        ("transfer", {"head.hidden": "none"}, {"head.hidden", "head.l2"}),
        ("transfer", {"head.hidden": 128}, {"head.hidden"}),
    ],
)
def test_what_is_given_rules_conditions_out(name, given, gone):
    text = next(file for file in SHIPPED if file.stem == name).read_text()
    every, left = ({each.key for each in space_file.read(text, name, values).parameters} for values in ({}, given))
    assert every - left == gone
    assert space_file.read(text, name, given).first_values[0].keys() <= left


def test_a_condition_that_no_draw_can_meet_is_told():
    with pytest.raises(ConfigError, match=r"line 12: `optimizer.name` is never 'adamw': its parameter above cannot"):
        space_file.read(
            GOOD.replace('when = { optimizer.name = "sgd" }', 'when = { optimizer.name = "adamw" }'), "good"
        )


LISTS = """\
network.filters = { distribution = "categorical", choices = [[8, 16, 32], [16, 16, 16]] }
[[first]]
network.filters = [8, 16, 32]
"""


def test_a_choice_may_be_a_list_and_be_tried_first():
    text = GOOD.replace("quickstart", "cifar10-simple5").replace("transfer", "scratch")
    found = space_file.read(text.replace("[[first]]\n", LISTS), "good")
    assert found.first_values[0]["network.filters"] in found.parameters[-1].choices


def test_a_fixed_setting_without_an_effect_is_refused_unless_a_study_has_it():
    useless = GOOD.replace("head.hidden = 32", "head.hidden = 32\nscratch.epochs = 3")
    with pytest.raises(ConfigError, match=r"good, line \d+: `scratch\.epochs` would have no effect"):
        space_file.read(useless, "good")
    assert space_file.read(useless, "good", is_stored=True).base.scratch.epochs == 3
    searched = GOOD.replace("head.hidden = 32", "optimizer.weight_decay = 0.01").replace('"sgd"]', '"sgd", "adamw"]')
    assert space_file.read(searched, "good").base.optimizer.weight_decay == 0.01, "of some trials it has an effect"


SCRATCH = """\
recipe = "quickstart"
objective = "val/loss"
trials = 2
[space]
head.dropout = { distribution = "uniform", low = 0.0, high = 0.5 }
"""


def test_another_recipe_is_taken_whole_and_not_by_its_name_alone():
    space = space_file.read(SCRATCH, "good", {"recipe": "cifar10-vgg10"})
    assert (space.base.recipe, space.base.model, space.base.dataset) == ("cifar10-vgg10", "vgg10", "cifar10")


@pytest.mark.parametrize(("key", "value", "expected"), [("trials", 0, "a whole number"), ("minutes", -1, "a number")])
def test_a_wrong_budget_that_an_argument_gives_names_no_line(key: str, value: int, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^Invalid value for `{key}`: expected {expected}"):
        space_file.read(TEXT, "s", {key: value})
