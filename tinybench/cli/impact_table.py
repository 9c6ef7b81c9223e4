"""What each step of a progression of recipes gained, from finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console as Terminal
from rich.table import Table

from tinybench.recipes.recipe import Expected, Recipe

_LEGEND = (
    "Test images; gained: points over the line before; train - val: accuracy of training less that of validation in "
    "the best epoch. Runs with folds: all folds together, and their log loss. *: not with the recipe's own settings; "
    "†: see what is said of its data; no run: none that finished."
)
_ACCURACY = "test/accuracy"
_LOSSES = ("test/loss", "test/log_loss")  # an ensemble of folds has no penalty, and so no loss of its own


@dataclass(frozen=True)
class Step:
    """A recipe with what its run found.

    Attributes:
        recipe: With its published figures.
        metrics: Of the run; empty where there is none.
        own: The run has the recipe's own settings.
        model: That the run trained.
        run_id: The run; empty where there is none.
        folds: How many it has; 0 where it has none.
        warning: What is to be known of its data.
    """

    recipe: Recipe
    metrics: dict[str, float] = field(default_factory=dict)
    own_settings: bool = True
    model: str = ""
    run_id: str = ""
    folds: int = 0
    warning: str = ""

    @property
    def title(self) -> str:
        """The recipe's name with the marks of what cannot be compared."""
        marks = ("" if self.own_settings else "*") + ("†" if self.warning else "")
        return f"{self.recipe.name} {marks}".rstrip()

    @property
    def published(self) -> list[Expected]:
        """What was published of this model after the recipe's last phase."""
        last = self.recipe.build().phases[-1]
        return [each for each in self.recipe.expected if each.phase == last and each.model in ("", self.model)]


def print_impact_table(steps: Sequence[Step], terminal: Terminal) -> None:
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
    _line(_LEGEND, terminal)
    _beside(steps, terminal)
    _runs(steps, terminal)


def _runs(steps: Sequence[Step], terminal: Terminal) -> None:
    """Which runs these are, and what is to be known of each."""
    for step in filter(lambda step: step.run_id, steps):
        folds = f", {step.folds} folds" if step.folds else ""
        _line(f"{step.title}: run {step.run_id}{folds}", terminal)
    for warning in dict.fromkeys(step.warning for step in steps if step.warning):
        _line(f"†: {warning}", terminal)


def _beside(steps: Sequence[Step], terminal: Terminal) -> None:
    """Every published figure with ours."""
    table = Table(box=None, pad_edge=False, title="Published, and ours", title_justify="left")
    for head in ("recipe", "figure", "published", "ours", "theirs is of"):
        table.add_column(head, justify="right" if head in ("published", "ours") else "left", no_wrap=True)
    for step in steps:
        for each in step.published:
            ours = step.metrics.get(each.metric)
            table.add_row(
                step.title, each.metric, f"{each.value:.4g}", "" if ours is None else f"{ours:.4g}", each.split
            )
    if table.row_count:
        terminal.print(table)


def _cells(step: Step, before: float | None) -> tuple[str, ...]:
    found, accuracy = step.metrics, step.metrics.get(_ACCURACY)
    return (
        step.title,
        _count(found.get("efficiency/parameters")),
        _percent(accuracy) if found else "no run",
        "" if accuracy is None or before is None else f"{100 * (accuracy - before):+.2f}",
        next((f"{found[name]:.3f}" for name in _LOSSES if name in found), ""),
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


def _line(text: str, terminal: Terminal) -> None:
    terminal.print(text, highlight=False, soft_wrap=True, markup=False)
