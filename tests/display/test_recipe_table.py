"""Recipes as lists and in full."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tinybench import recipes
from tinybench.cli import root


def run(*words: str) -> str:
    done = CliRunner().invoke(root.cli, ["recipes", *words], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_the_list_has_data_figure_model_and_time_of_every_recipe():
    lines = run().splitlines()
    for recipe in recipes.all_recipes().values():
        place = next(at for at, line in enumerate(lines) if line.split()[:1] == [recipe.name])
        assert recipe.build().dataset in lines[place].split()
        about = " ".join(" ".join(lines[place + 1 : place + 3]).split())
        assert about.startswith(f"model and time: {recipe.architecture}; {recipe.cost}")
    assert "cifar10-simple5             data: cifar10        published top-1: 0.6747" in lines
    assert "tiny-imagenet-tlft          data: tiny-imagenet  published top-1: 0.628 - 0.755" in lines
    assert max(map(len, lines[:-2])) <= 80


def test_what_the_list_says_is_explained():
    text = run()
    assert "published top-1: share of images" in text
    assert "tinybench recipes show NAME" in text
    assert "system" not in text
    assert "the same" not in text  # as what?


@pytest.mark.parametrize("name", recipes.all_recipes())
def test_a_recipe_is_shown_with_its_figures_and_every_setting(name: str):
    text = run("show", name)
    assert text.startswith(f"{name}: ")
    assert "Left open" in text or name == "quickstart"
    assert "system" not in text
    for expected in recipes.all_recipes()[name].expected:
        assert f"{expected.value:g}" in text
    for key, value in recipes.build(name).flat().items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"{key} ")]
        assert value is None or str(value)[:5] in row or isinstance(value, tuple)


def test_an_unknown_recipe_is_one_line():
    from tinybench.core.errors import ConfigError

    with pytest.raises(ConfigError, match=r"Invalid value for `recipe`: expected one of .*, got 'cifar'"):
        CliRunner().invoke(root.cli, ["recipes", "show", "cifar"], catch_exceptions=False)
