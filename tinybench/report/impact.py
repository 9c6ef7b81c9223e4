"""What each step of a progression of recipes gained, from finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console as Terminal
from rich.table import Table

from tinybench.recipes import Expected, Recipe

_LEGEND = (
    "Test images; gained: points over the line before; train - val: accuracy of training less that of validation in "
    "the best epoch. *: not with the recipe's own settings; no run: none that finished."
)
_ACCURACY = "test/accuracy"


@dataclass(frozen=True)
class Step:
    """A recipe with what its run found.

    Attributes:
        recipe: With its published figures.
        metrics: Of the run; empty where there is none.
        own: The run has the recipe's own settings.
        model: That the run trained.
    """

    recipe: Recipe
    metrics: dict[str, float] = field(default_factory=dict)
    own: bool = True
    model: str = ""

    @property
    def published(self) -> list[Expected]:
        """What was published of this model after the recipe's last phase."""
        last = self.recipe.build().phases[-1]
        return [each for each in self.recipe.expected if each.phase == last and each.model in ("", self.model)]


def show(steps: Sequence[Step], terminal: Terminal) -> None:
    """A line a recipe: size, test accuracy and what it gained over the line before; then ours beside the published."""
    table = Table(box=None, pad_edge=False)
    for head in ("recipe", "weights", "top-1", "gained", "loss", "train - val"):
        table.add_column(head, justify="left" if head == "recipe" else "right", no_wrap=True)
    before: float | None = None
    for step in steps:
        accuracy = step.metrics.get(_ACCURACY)
        table.add_row(*_cells(step, before))
        before = before if accuracy is None else accuracy
    terminal.print(table)
    terminal.print(_LEGEND, highlight=False, soft_wrap=True)
    _beside(steps, terminal)


def _beside(steps: Sequence[Step], terminal: Terminal) -> None:
    """Every published figure with ours."""
    table = Table(box=None, pad_edge=False, title="Published, and ours", title_justify="left")
    for head in ("recipe", "figure", "published", "ours", "theirs is of"):
        table.add_column(head, justify="right" if head in ("published", "ours") else "left", no_wrap=True)
    for step in steps:
        for each in step.published:
            ours = step.metrics.get(each.metric)
            table.add_row(
                step.recipe.name, each.metric, f"{each.value:.4g}", "" if ours is None else f"{ours:.4g}", each.split
            )
    if table.row_count:
        terminal.print(table)


def _cells(step: Step, before: float | None) -> tuple[str, ...]:
    found, accuracy = step.metrics, step.metrics.get(_ACCURACY)
    return (
        step.recipe.name + ("" if step.own else " *"),
        _count(found.get("efficiency/parameters")),
        _percent(accuracy) if found else "no run",
        "" if accuracy is None or before is None else f"{100 * (accuracy - before):+.2f}",
        "" if "test/loss" not in found else f"{found['test/loss']:.3f}",
        _points(found.get("best/overfitting_gap")),
    )


def _count(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}K"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.1f}"
