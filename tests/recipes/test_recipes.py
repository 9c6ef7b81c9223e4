"""Every recipe builds and says what it is."""

from __future__ import annotations

import pytest

from tinybench import recipes
from tinybench.config import RunConfig, from_flat
from tinybench.errors import ConfigError

NAMES = list(recipes.all_recipes())


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_from_allowed_values(name):
    config = recipes.build(name)
    assert isinstance(config, RunConfig)
    assert config.recipe == name
    assert from_flat(config.flat()) == config


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is(name):
    for word in ("Source:", "Command:", "Time:", "Expect:"):
        assert word in recipes.all_recipes()[name].doc


@pytest.mark.parametrize("name", NAMES)
def test_published_figures_are_shares_or_losses(name):
    for expected in recipes.all_recipes()[name].expected:
        assert expected.split in ("validation", "test")
        assert 0 < expected.value <= (10 if expected.metric.endswith("loss") else 1)


def test_system_a():
    values = recipes.build("tiny-imagenet-tlft").flat()
    assert (
        values
        | {
            "dataset": "tiny-imagenet",
            "weights": "imagenet",
            "transfer.epochs": 15,
            "finetune.epochs": 5,
            "batch_size": 32,
            "transfer.lr": 1e-4,
            "finetune.lr": 1e-4,
            "head.dropout": 0.3,
            "head.l2": 1e-4,
            "head.hidden": 256,
            "image_size": 224,
            "augment.rotation": 10,
            "augment.flip": True,
        }
        == values
    )


def test_quickstart_downloads_nothing():
    config = recipes.build("quickstart")
    assert (config.dataset, config.weights) == ("digits", "none")


def test_an_unknown_recipe_lists_the_names():
    with pytest.raises(ConfigError) as caught:
        recipes.build("quick")
    expected = "Invalid value for `recipe`: expected one of tiny-imagenet-tlft, quickstart, got 'quick'."
    assert str(caught.value) == expected
