"""Recipes as tables: a list of all, and one with its figures and settings."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc

from rich.console import Console as Terminal
from rich.table import Table

from tinybench.cli import plan_table
from tinybench.config.run_config import RunConfig
from tinybench.recipes.recipe import Recipe

_ROW = "{:28}{:8}{:15}{}"

# What a list has room for, the figure of most weight first
_HEADLINES = ("folds/accuracy_mean", "test/accuracy")


def print_recipe_list(recipes: Iterable[Recipe], terminal: Terminal) -> None:
    """Two lines a recipe: what it is called and published with, then what it is."""
    _line(_ROW.format("recipe", "system", "data", "published top-1"), terminal)
    for recipe in recipes:
        _line(_ROW.format(recipe.name, recipe.system, recipe.build().dataset, _headline(recipe)), terminal)
        _line(f"    {recipe.architecture}; {recipe.cost}", terminal)
    _line("\ntinybench recipes show NAME gives all; mlflow run . -P recipe=NAME runs it.", terminal)


def print_recipe(recipe: Recipe, config: RunConfig, terminal: Terminal) -> None:
    """What a recipe is, what was published, and every setting."""
    _line(f"{recipe.name}: {cleandoc(recipe.doc)}\n", terminal)
    if recipe.expected:
        figures = Table()
        for head in ("published figure", "value", "taken on", "model", "phase", "source"):
            figures.add_column(head, overflow="fold")  # to be read whole, however narrow
        for each in recipe.expected:
            figures.add_row(each.metric, f"{each.value:g}", each.split, each.model, each.phase, each.source)
        terminal.print(figures)
    plan_table.print_settings_table(config, terminal)


def _headline(recipe: Recipe) -> str:
    """The published accuracy after the last phase; from the least to the most where there are several models."""
    for metric in _HEADLINES:
        found = [each for each in recipe.expected if each.metric == metric]
        values = [each.value for each in found if each.phase == found[-1].phase]
        if values:
            return f"{max(values):.4g}" if len(values) == 1 else f"{min(values):.3g} - {max(values):.3g}"
    return ""


def _line(text: str, terminal: Terminal) -> None:
    terminal.print(text, highlight=False, soft_wrap=True, markup=False)
