"""Print recipes: a list of all, or one with its published metrics and its settings."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import cleandoc
from typing import TYPE_CHECKING

from rich.table import Table

from tinybench.display import plan_table
from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.config.run_config import RunConfig
    from tinybench.recipes.recipe import Recipe

_ROW = "{:28}{:8}{:15}{}"

# The metrics that may stand in the list; the first that was published is taken
_HEADLINE_METRICS = ("folds/accuracy_mean", "test/accuracy")


def print_recipe_list(recipes: Iterable[Recipe], terminal: Terminal) -> None:
    """Print two lines per recipe: its name, data and published accuracy, then its architecture and cost."""
    print_line(terminal, _ROW.format("recipe", "system", "data", "published top-1"))
    for recipe in recipes:
        print_line(terminal, _ROW.format(recipe.name, recipe.system, recipe.build().dataset, _headline(recipe)))
        print_line(terminal, f"    {recipe.architecture}; {recipe.cost}")
    print_line(terminal, "\nIn full: tinybench recipes show NAME. To run it: tinybench train --recipe NAME.")


def print_recipe(recipe: Recipe, config: RunConfig, terminal: Terminal) -> None:
    """Print what a recipe reproduces, its published metrics and every setting."""
    print_line(terminal, f"{recipe.name}: {cleandoc(recipe.doc)}\n")
    if recipe.expected:
        table = Table(title="Published metrics")
        for title in ("metric", "value", "split", "model", "phase", "source"):
            table.add_column(title, overflow="fold")  # nothing is cut, however narrow the terminal is
        for expected in recipe.expected:
            value = f"{expected.value:g}"
            table.add_row(expected.metric, value, expected.split, expected.model, expected.phase, expected.source)
        terminal.print(table)
    plan_table.print_settings_table(config, terminal)


def _headline(recipe: Recipe) -> str:
    """Return the published accuracy after the last phase, as a range where there are several models."""
    for metric in _HEADLINE_METRICS:
        published = [expected for expected in recipe.expected if expected.metric == metric]
        values = [expected.value for expected in published if expected.phase == published[-1].phase]
        if values:
            return f"{max(values):.4g}" if len(values) == 1 else f"{min(values):.3g} - {max(values):.3g}"
    return ""
