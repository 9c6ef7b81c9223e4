"""Print recipes: a list of all, or one with its published metrics and its settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import TYPE_CHECKING

from tinybench.display import plan_table
from tinybench.display.fitted_table import Column, print_table
from tinybench.display.plain_lines import print_text
from tinybench.recipes.recipe import OWN_SOURCE

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.config.run_config import RunConfig
    from tinybench.recipes.recipe import Recipe

_LEGEND = (
    "published top-1: share of images that the authors classify correctly after the last phase; a range where they "
    "have several models, and the mean of all folds where there are folds."
)
_HINT = (
    "All about one: tinybench recipes show NAME. To run it: tinybench train --recipe NAME. How long it takes on this "
    "machine: tinybench train --recipe NAME --dry-run."
)

# The metrics that may stand in the list; the first that was published is taken
_HEADLINE_METRICS = ("folds/accuracy_mean", "test/accuracy")


def print_recipe_list(recipes: Iterable[Recipe], terminal: Terminal) -> None:
    """Print a row per recipe: its name, data, published accuracy, model and cost."""
    columns = ("recipe", "data", Column("published top-1", right=True), Column("model and time", wraps=True))
    rows = [
        (recipe.name, recipe.build().dataset, _headline(recipe), f"{recipe.architecture}; {recipe.cost}")
        for recipe in recipes
    ]
    print_table(terminal, columns, rows)
    terminal.print()
    print_text(terminal, _LEGEND)
    print_text(terminal, _HINT)


def print_recipe(recipe: Recipe, config: RunConfig, terminal: Terminal) -> None:
    """Print what a recipe reproduces, its published metrics and every setting."""
    for line in _unwrap(f"{recipe.name}: {cleandoc(recipe.doc)}"):
        print_text(terminal, line)
    terminal.print()
    if recipe.expected:
        titles = ("metric", Column("value", right=True), "split", "model", "phase")
        rows = [
            (expected.metric, f"{expected.value:g}", expected.split, expected.model, expected.phase)
            for expected in recipe.expected
        ]
        shown = [index for index in range(len(titles)) if any(row[index] for row in rows)]
        columns = [titles[index] for index in shown]
        print_table(terminal, columns, [[row[index] for index in shown] for row in rows], "Published metrics")
        terminal.print()
    plan_table.print_settings_table(config, terminal)


def _unwrap(text: str) -> Iterator[str]:
    """Yield the paragraphs of a docstring, and lines such as `Source: …`, each without its line breaks."""
    line = ""
    for part in text.splitlines():
        if not part or re.match(r"[A-Z]\w+: ", part):
            yield from [line] if line else []
            yield from [] if part else [""]
            line = part
        else:
            line = f"{line} {part}" if line else part
    yield line


def _headline(recipe: Recipe) -> str:
    """Return the published accuracy after the last phase, as a range where there are several models."""
    for metric in _HEADLINE_METRICS:
        of_metric = (expected for expected in recipe.expected if expected.metric == metric)
        published = [expected for expected in of_metric if expected.source != OWN_SOURCE]
        values = [expected.value for expected in published if expected.phase == published[-1].phase]
        if values:
            return f"{max(values):.4g}" if len(values) == 1 else f"{min(values):.3g} - {max(values):.3g}"
    return ""
