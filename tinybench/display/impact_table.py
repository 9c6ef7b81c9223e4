"""Print what each recipe of a progression gained over the one before, from finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tinybench.core.metric_text import format_metric, is_defined
from tinybench.display.fitted_table import number_columns, print_table
from tinybench.display.plain_lines import print_line, print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.tracking.queries import RecipeResult

_LEGEND = (
    "Metrics of the test images. gained: points of accuracy over the line above. train - val: training accuracy minus "
    "validation accuracy in the best epoch."
)
_ABOUT_FOLDS = "Runs with folds: the mean of all folds' probabilities, and its log loss."
_ABOUT_SETTINGS = "*: not with the recipe's own settings."
_ABOUT_NO_RUN = "no run: none has finished."
_ACCURACY = "test/accuracy"
_LOSSES = ("test/loss", "test/log_loss")  # an ensemble of folds has no penalties on weights, and so no loss


def print_impact_table(results: Sequence[RecipeResult], terminal: Terminal) -> None:
    """Print one row per recipe with its size, accuracy and gain, then its metrics beside the published ones."""
    rows, previous = [], None
    for result in results:
        rows.append(_cells(result, previous))
        accuracy = result.metrics.get(_ACCURACY)
        previous = accuracy if is_defined(accuracy) else previous
    print_table(terminal, ("recipe", *number_columns("weights", "top-1", "gained", "loss", "train - val")), rows)
    print_text(terminal, _legend(results))
    _print_published(results, terminal)
    _print_runs(results, terminal)


def _legend(results: Sequence[RecipeResult]) -> str:
    """Return what the headings mean, and the marks that the table has."""
    parts = [_LEGEND]
    parts += [_ABOUT_FOLDS] if any(result.folds for result in results) else []
    parts += [_ABOUT_SETTINGS] if not all(result.own_settings for result in results) else []
    parts += [_ABOUT_NO_RUN] if not all(result.metrics for result in results) else []
    return " ".join(parts)


def _print_runs(results: Sequence[RecipeResult], terminal: Terminal) -> None:
    """Print the ID of each run, and the notes about their data."""
    for result in results:
        if result.run_id:
            folds = f", {result.folds} folds" if result.folds else ""
            print_line(terminal, f"{result.title}: run {result.run_id}{folds}")
    for warning in dict.fromkeys(result.warning for result in results if result.warning):
        print_text(terminal, f"†: {warning}")


def _print_published(results: Sequence[RecipeResult], terminal: Terminal) -> None:
    """Print every published metric beside that of the run."""
    rows = []
    for result in results:
        for expected in result.published:
            value = result.metrics.get(expected.metric)
            run = format_metric(value, ".4g")
            rows.append((result.title, expected.metric, f"{expected.value:.4g}", run, expected.split))
    if rows:
        columns = ("recipe", "metric", *number_columns("published", "run"), "published on")
        terminal.print()
        print_table(terminal, columns, rows, "Published metrics, and those of the runs")
        terminal.print()


def _cells(result: RecipeResult, previous: float | None) -> tuple[str, ...]:
    """Return the row of a recipe; `previous` is the accuracy of the nearest row above that has one."""
    metrics = {name: value for name, value in result.metrics.items() if is_defined(value)}
    accuracy, parameters, gap = map(metrics.get, (_ACCURACY, "efficiency/parameters", "best/overfitting_gap"))
    top1 = "" if accuracy is None else f"{100 * accuracy:.2f}"
    return (
        result.title,
        "" if parameters is None else _format_count(parameters),
        top1 if result.metrics else "no run",
        "" if accuracy is None or previous is None else f"{100 * (accuracy - previous):+.2f}",
        next((f"{metrics[name]:.3f}" for name in _LOSSES if name in metrics), ""),
        "" if gap is None else f"{100 * gap:+.1f}",
    )


def _format_count(value: float) -> str:
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}K"
