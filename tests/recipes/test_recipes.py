"""Every recipe builds and says what it is."""

from __future__ import annotations

import pytest

from tinybench import recipes
from tinybench.config.run_config import RunConfig, from_flat
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve

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
        lowest = -0.5 if expected.metric.endswith("gap") else 0
        assert lowest < expected.value <= (10 if expected.metric.endswith("loss") else 1)


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
        recipes.build("other")
    assert str(caught.value) == f"Invalid value for `recipe`: expected one of {', '.join(NAMES)}, got 'other'."


def test_every_system_has_its_recipes():
    by_system = {}
    for recipe in recipes.all_recipes().values():
        by_system.setdefault(recipe.system, []).append(recipe.name)
    assert by_system == {
        "A": ["tiny-imagenet-tlft"],
        "B": ["alexnet-mini"],
        "C": ["cifar100-scratch", "cifar100-vgg16-features", "cifar100-vgg16-finetune"],
        "D": ["mnist-shallow", "cifar10-conv6", "cifar100-deep", "cifar100-convnext", "tiny-imagenet-convnext"],
        "E": [
            "cifar10-simple5",
            "cifar10-vgg10-baseline",
            "cifar10-vgg10-callbacks",
            "cifar10-vgg10",
            "cifar10-resnet20",
            "cifar10-efficientnetv2-96",
            "cifar10-efficientnetv2-224",
        ],
        "-": ["quickstart"],
    }


@pytest.mark.parametrize(
    ("name", "metric", "value"),
    [
        ("alexnet-mini", "test/accuracy", 0.43),
        ("cifar100-scratch", "test/loss", 2.429),
        ("cifar100-vgg16-features", "test/accuracy", 0.5748),
        ("cifar100-vgg16-finetune", "test/accuracy", 0.4781),
        ("mnist-shallow", "folds/accuracy_mean", 0.974),
        ("cifar10-conv6", "folds/accuracy_mean", 0.8649),
        ("cifar100-convnext", "folds/accuracy_mean", 0.7531),
        ("tiny-imagenet-convnext", "test/accuracy", 0.87),
        ("cifar10-simple5", "best/overfitting_gap", 0.178),
        ("cifar10-vgg10", "test/loss", 0.543),
        ("cifar10-resnet20", "test/accuracy", 0.877),
        ("cifar10-efficientnetv2-96", "test/accuracy", 0.9042),
        ("cifar10-efficientnetv2-224", "test/loss", 0.174),
    ],
)
def test_published_figures_are_data(name, metric, value):
    assert value in [each.value for each in recipes.all_recipes()[name].expected if each.metric == metric]


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_recipe_names_it(name):
    if name != "tiny-imagenet-tlft":  # the default
        assert name in next(line for line in recipes.all_recipes()[name].doc.splitlines() if "Command:" in line)


def test_a_warm_up_as_long_as_training_is_refused():
    with pytest.raises(ConfigError, match=r"expected fewer epochs than `scratch\.epochs` \(5\), got 5"):
        resolve("cifar100-deep", {"scratch.epochs": 5, "scratch.warmup": 5})


def test_a_warm_up_without_a_cosine_is_refused():
    with pytest.raises(ConfigError, match=r"`scratch\.warmup`: expected 0 with `scratch\.schedule` plateau, got 2"):
        resolve("cifar10-vgg10", {"scratch.warmup": 2})


def test_a_schedule_of_unknown_name_is_refused():
    with pytest.raises(ConfigError, match=r"`scratch\.schedule`: expected one of constant, .*, got 'step'"):
        resolve("cifar10-vgg10", {"scratch.schedule": "step"})
