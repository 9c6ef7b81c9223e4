"""Print what each recipe of a progression gained over the one before, from finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from tinybench.display.plain_lines import print_line

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.tracking.queries import RecipeResult

_LEGEND = (
    "Metrics of the test images. gained: points of accuracy over the line above. train - val: training accuracy minus "
    "validation accuracy in the best epoch. Runs with folds: the mean of all folds' probabilities, and its log loss. "
    "*: not with the recipe's own settings. †: see the note about its data. no run: none has finished."
)
_ACCURACY = "test/accuracy"
_LOSSES = ("test/loss", "test/log_loss")  # an ensemble of folds has no penalties on weights, and so no loss


def print_impact_table(results: Sequence[RecipeResult], terminal: Terminal) -> None:
    """Print one row per recipe with its size, accuracy and gain, then its metrics beside the published ones."""
    table = Table(box=None, pad_edge=False)
    for title in ("recipe", "weights", "top-1", "gained", "loss", "train - val"):
        table.add_column(title, justify="left" if title == "recipe" else "right", no_wrap=True)
    previous: float | None = None
    for result in results:
        table.add_row(*_cells(result, previous))
        previous = result.metrics.get(_ACCURACY, previous)
    terminal.print(table)
    print_line(terminal, _LEGEND)
    _print_published(results, terminal)
    _print_runs(results, terminal)


def _print_runs(results: Sequence[RecipeResult], terminal: Terminal) -> None:
    """Print the ID of each run, and the notes about their data."""
    for result in results:
        if result.run_id:
            folds = f", {result.folds} folds" if result.folds else ""
            print_line(terminal, f"{result.title}: run {result.run_id}{folds}")
    for warning in dict.fromkeys(result.warning for result in results if result.warning):
        print_line(terminal, f"†: {warning}")


def _print_published(results: Sequence[RecipeResult], terminal: Terminal) -> None:
    """Print every published metric beside that of the run."""
    table = Table(box=None, pad_edge=False, title="Published metrics, and those of the runs", title_justify="left")
    for title in ("recipe", "metric", "published", "run", "published on"):
        table.add_column(title, justify="right" if title in ("published", "run") else "left", no_wrap=True)
    for result in results:
        for expected in result.published:
            value = result.metrics.get(expected.metric)
            run = "" if value is None else f"{value:.4g}"
            table.add_row(result.title, expected.metric, f"{expected.value:.4g}", run, expected.split)
    if table.row_count:
        terminal.print(table)


def _cells(result: RecipeResult, previous: float | None) -> tuple[str, ...]:
    """Return the row of a recipe; `previous` is the accuracy of the nearest row above that has one."""
    metrics, accuracy = result.metrics, result.metrics.get(_ACCURACY)
    parameters, gap = metrics.get("efficiency/parameters"), metrics.get("best/overfitting_gap")
    top1 = "" if accuracy is None else f"{100 * accuracy:.2f}"
    return (
        result.title,
        "" if parameters is None else _format_count(parameters),
        top1 if metrics else "no run",
        "" if accuracy is None or previous is None else f"{100 * (accuracy - previous):+.2f}",
        next((f"{metrics[name]:.3f}" for name in _LOSSES if name in metrics), ""),
        "" if gap is None else f"{100 * gap:+.1f}",
    )


def _format_count(value: float) -> str:
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}K"
