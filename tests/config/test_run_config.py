"""Settings in, one frozen and checked configuration out."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench import recipes
from tinybench.config.run_config import SETTINGS, RunConfig, canonical_key, from_flat, parse_value, replace
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve


@pytest.mark.parametrize(
    ("key", "text", "dotted", "value"),
    [
        ("head.dropout", "0.2", "head.dropout", 0.2),
        ("head_dropout", "0.2", "head.dropout", 0.2),
        ("dropout", 0.2, "head.dropout", 0.2),
        ("l2", "1e-3", "head.l2", 1e-3),
        ("transfer_lr", "0.01", "transfer.lr", 0.01),
        ("image-size", "64", "image_size", 64),
        ("head.hidden", "none", "head.hidden", None),
        ("data.classes", "all", "data.classes", None),
        ("data.classes", "10", "data.classes", 10),
        ("data.classes", "cat, dog", "data.classes", ("cat", "dog")),
        ("finetune.unfreeze", "12", "finetune.unfreeze", 12),
        ("finetune.unfreeze", "0.5", "finetune.unfreeze", 0.5),
        ("finetune.unfreeze", "conv5", "finetune.unfreeze", "conv5"),
        ("phases", "finetune", "phases", ("finetune",)),
        ("deterministic", "no", "deterministic", False),
    ],
)
def test_an_override_replaces_one_setting(key, text, dotted, value):
    before, after = resolve().flat(), resolve(None, {key: text}).flat()
    assert after[dotted] == value
    assert {name for name in SETTINGS if before[name] != after[name]} <= {dotted}


def test_the_message_on_an_unknown_key_suggests_the_most_similar_one():
    with pytest.raises(ConfigError) as caught:
        resolve(None, {"head.droput": 0.2})
    assert str(caught.value) == "Unknown key `head.droput`: did you mean `head.dropout`?"


def test_the_message_on_a_key_like_no_other_says_where_all_are_listed():
    with pytest.raises(ConfigError, match=r"^Unknown key `qqqq`: `tinybench train --help` lists the settings\.$"):
        canonical_key("qqqq")


@pytest.mark.parametrize("key", ["head.dropout", "head_dropout", "dropout"])
def test_a_bad_value_names_the_key_and_what_was_expected(key):
    with pytest.raises(ConfigError) as caught:
        resolve(None, {key: "abc"})
    assert str(caught.value) == "Invalid value for `head.dropout`: expected a number in [0, 1), got 'abc'."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head.dropout", 1),
        ("head.dropout", float("nan")),
        ("data.validation", 0),
        ("batch_size", 2.5),
        ("batch_size", True),
        ("seed", None),
        ("seed", float("inf")),
        ("data.classes", float("inf")),
        ("monitor", ["val/loss"]),
        ("deterministic", "maybe"),
        ("phases", "sleep"),
        ("phases", 5),
        ("phases", ()),
        ("phases", "finetune,transfer"),
        ("transfer.lr", "0"),
    ],
)
def test_values_that_are_not_allowed(key, value):
    with pytest.raises(ConfigError, match=rf"^Invalid value for `{re.escape(key)}`: expected .+, got .+\.$"):
        resolve(None, {key: value})


def test_phases_run_in_order():
    with pytest.raises(ConfigError, match="or transfer before finetune, got"):
        resolve(None, {"phases": ("finetune", "transfer")})
    assert resolve(None, {"phases": "transfer, finetune"}).phases == ("transfer", "finetune")


def test_nothing_from_scratch_begins_with_imagenet():
    with pytest.raises(ConfigError, match=r"`weights`: a phase from scratch begins without imagenet\. Set it to none"):
        resolve(None, {"phases": "scratch"})


def test_a_run_of_before_there_were_schedules_is_read():
    old = resolve("quickstart").flat() | {"transfer.plateau_patience": None}
    assert from_flat(old).transfer.schedule == "constant"


def test_a_phase_comes_once():
    with pytest.raises(ConfigError, match="or transfer before finetune, got"):
        resolve(None, {"phases": "transfer,transfer"})


def test_a_setting_given_twice_with_two_values():
    with pytest.raises(ConfigError) as caught:
        resolve(None, {"head.dropout": "0.1", "dropout": "0.2"})
    assert str(caught.value) == "`head.dropout` is given twice, as '0.1' and as '0.2': give it once."


def test_a_setting_given_twice_with_one_value_or_untouched():
    assert resolve(None, {"head.dropout": "0.1", "dropout": "0.1"}).head.dropout == 0.1
    assert resolve(None, {"head.dropout": "0.1", "dropout": "recipe"}).head.dropout == 0.1


names = st.text("abcdefgh", min_size=1)


@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "head.dropout": st.floats(0, 1, exclude_max=True),
            "head.hidden": st.none() | st.integers(1, 4096),
            "data.classes": st.none() | st.integers(2, 200) | st.lists(names, min_size=1).map(tuple),
            "finetune.unfreeze": st.integers(1, 99) | st.floats(0.01, 0.99) | st.just("all"),
            "phases": st.sampled_from([("scratch",), ("transfer",), ("finetune",), ("transfer", "finetune")]),
            "track.tags": st.lists(names.map(lambda name: f"{name}=1")).map(tuple),
            "data.root": st.none() | names,
            "augment.flip": st.booleans(),
            "seed": st.integers(0, 2**31 - 1),
        },
    )
)
def test_flat_goes_through_json_and_back(values):
    config = replace(recipes.build("quickstart"), values)
    assert from_flat(json.loads(json.dumps(config.flat()))) == config


@pytest.mark.parametrize("recipe", list(recipes.all_recipes()))
def test_identity_survives_flat(recipe):
    config = resolve(recipe)
    assert from_flat(json.loads(json.dumps(config.flat()))).identity() == config.identity()


def test_flat_has_every_key_in_order():
    assert list(RunConfig().flat()) == list(SETTINGS)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_every_default_is_a_value_of_its_own_kind(name):
    assert parse_value(name, SETTINGS[name].default) == SETTINGS[name].default


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.root", "elsewhere"),
        ("track.uri", "sqlite:///a.db"),
        ("track.experiment", "b"),
        ("track.run_name", "c"),
        ("track.tags", "d=e"),
        ("device", "cpu"),
        ("checkpoint.keep", 5),
    ],
)
def test_identity_ignores_where_a_run_happens(key, value):
    assert resolve(None, {key: value}).identity() == resolve().identity()


@pytest.mark.parametrize(
    ("key", "value"), [("head.dropout", 0.31), ("seed", 1), ("model", "vgg16"), ("data.test", 0.1)]
)
def test_identity_follows_what_is_computed(key, value):
    assert resolve(None, {key: value}).identity() != resolve().identity()


def test_identity_is_64_hex_digits():
    assert re.fullmatch("[0-9a-f]{64}", resolve().identity())


def test_a_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolve().head.dropout = 0.5
