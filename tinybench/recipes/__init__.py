"""Recipes: one function per reference system that returns its configuration. Needs the standard library only."""

from __future__ import annotations

from dataclasses import replace

from tinybench.config.run_config import RunConfig
from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest
from tinybench.recipes.recipe import Recipe


def all_recipes() -> dict[str, Recipe]:
    """Return every recipe by name, in the order of the reference systems."""
    from tinybench.recipes import alexnet_mini, cifar10, cifar100, cross_validated, quickstart, tiny_imagenet_tlft

    modules = (tiny_imagenet_tlft, alexnet_mini, cifar100, cross_validated, cifar10, quickstart)
    return {recipe.name: recipe for module in modules for recipe in module.RECIPES}


def find(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        ConfigError: There is no recipe of that name; the message lists all names.
    """
    recipes = all_recipes()
    if name not in recipes:
        raise ConfigError(
            f"Invalid value for `recipe`: expected one of {', '.join(recipes)}, got {name!r}.{suggest(name, recipes)}"
        )
    return recipes[name]


def build(name: str) -> RunConfig:
    """Return the configuration of a recipe.

    Raises:
        ConfigError: There is no recipe of that name; the message lists all names.
    """
    return replace(find(name).build(), recipe=name)
