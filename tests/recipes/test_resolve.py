"""A recipe and some settings become one configuration."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tinybench
from tinybench import recipes
from tinybench.config.run_config import SETTINGS
from tinybench.core.errors import ConfigError
from tinybench.job import preflight
from tinybench.recipes.resolve import resolve


def test_resolve_without_anything_gives_the_default_recipe():
    assert resolve() == recipes.build("tiny-imagenet-tlft")
    assert resolve().recipe == "tiny-imagenet-tlft"


def test_resolve_is_public():
    assert tinybench.resolve is resolve


@pytest.mark.parametrize("untouched", ["", "recipe"])
def test_an_untouched_value_leaves_the_recipe(untouched):
    overrides = dict.fromkeys(SETTINGS, untouched)
    assert resolve("quickstart", overrides) == recipes.build("quickstart")


def test_a_recipe_among_the_overrides_is_the_recipe():
    assert resolve(None, {"recipe": "quickstart"}) == recipes.build("quickstart")


def test_a_recipe_among_the_overrides_takes_precedence():
    assert resolve("tiny-imagenet-tlft", {"recipe": "quickstart"}).recipe == "quickstart"


@pytest.mark.parametrize(("dataset", "size"), [("digits", 28), ("cifar10", 32), ("folder:/pets", 64)])
@pytest.mark.parametrize("recipe", [None, "recipe"])
def test_a_small_network_without_a_recipe_is_trained_from_scratch(recipe, dataset, size):
    config = resolve(recipe, {"model": "smallcnn", "dataset": dataset})
    assert (config.weights, config.phases, config.image_size) == ("none", ("scratch",), size)
    preflight.check_run(config)


def test_what_is_given_goes_before_what_a_small_network_takes():
    config = resolve(None, {"model": "smallcnn", "image_size": 48, "phases": "transfer,finetune"})
    assert (config.phases, config.image_size) == (("transfer", "finetune"), 48)
    assert resolve("tiny-imagenet-tlft", {"model": "smallcnn"}).weights == "imagenet"
    assert resolve(None, {"model": "vgg16"}).phases == ("transfer", "finetune")


def test_an_own_model_has_weights_of_its_own():
    assert resolve(None, {"model": "mine.keras"}).weights == "file"
    assert resolve(None, {"model": "mine.keras", "weights": "file"}).weights == "file"
    with pytest.raises(
        ConfigError, match=r"^Invalid value for `weights`: mine is a file with weights of its own, which"
    ):
        resolve(None, {"model": "mine.keras", "weights": "imagenet"})


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ConfigError, match=r"^Invalid value for `recipe`: expected one of tiny-imagenet-tlft, "):
        resolve("quick")


def test_resolving_imports_nothing_heavy():
    heavy = ("numpy", "keras", "tensorflow", "mlflow", "sklearn")
    code = f"import sys, tinybench; tinybench.resolve('quickstart'); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
