"""Recipes: a reference system each, as a function that returns a configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tinybench.config.run_config import RunConfig
from tinybench.core.errors import ConfigError


@dataclass(frozen=True)
class Expected:
    """A published figure; the authors' claim, not our promise.

    Attributes:
        metric: Our name for it, such as `test/accuracy`.
        value: As published.
        split: The images it was taken on.
        source: Who says so.
        model: The backbone it belongs to, where a recipe has several.
        phase: The phase after which it was taken.
    """

    metric: str
    value: float
    split: str
    source: str
    model: str = ""
    phase: str = ""


@dataclass(frozen=True)
class Recipe:
    """A named configuration with what to expect of it.

    Attributes:
        name: What it is run by.
        build: The configuration; its docstring gives source, command, time and expected result.
        expected: Published figures.
        system: The reference system that it reproduces.
        architecture: In a few words.
        cost: Roughly how long it takes.
    """

    name: str
    build: Callable[[], RunConfig]
    expected: tuple[Expected, ...] = ()
    system: str = ""
    architecture: str = ""
    cost: str = ""

    @property
    def doc(self) -> str:
        """Source, command, time and expected result, from the function's docstring."""
        return (self.build.__doc__ or "").strip()


def all_recipes() -> dict[str, Recipe]:
    """Every recipe by name, system by system."""
    from tinybench.recipes import alexnet_mini, cifar10, cifar100, cross_validated, quickstart, tiny_imagenet_tlft

    systems = (tiny_imagenet_tlft, alexnet_mini, cifar100, cross_validated, cifar10, quickstart)
    return {recipe.name: recipe for system in systems for recipe in system.RECIPES}


def find(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        ConfigError: there is none; the message lists them.
    """
    known = all_recipes()
    if name not in known:
        raise ConfigError(f"Invalid value for `recipe`: expected one of {', '.join(known)}, got {name!r}.")
    return known[name]


def build(name: str) -> RunConfig:
    """The configuration of a recipe.

    Raises:
        ConfigError: there is no recipe of that name; the message lists them.
    """
    return replace(find(name).build(), recipe=name)
