"""Print a comparison as two tables: every run or model with its interval, and the differences of all pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count, product
from string import ascii_uppercase
from typing import TYPE_CHECKING

from tinybench.core.metric_text import format_interval, format_metric
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.evaluation.comparison import Comparison, Difference, MetricEstimate

_ABOUT_RUNS = (
    "This compares these runs on these test images: runs with another seed may differ. To compare the models, give "
    "several runs of each that differ only in the seed."
)
_ABOUT_MODELS = (
    "This compares models: seeds and test images were both resampled, in pairs where two models have runs with the "
    "same seeds. A model with a single run is assumed to vary over seeds as much as the others."
)


def print_comparison(comparison: Comparison, terminal: Terminal) -> None:
    """Print the metric of each group, the differences of all pairs, and how to read them."""
    letters = dict(zip(comparison.estimates, _letters(), strict=False))
    names = (Column("", head=True), Column("model" if comparison.compares_models else "run", wraps=True, head=True))
    numbers = [comparison.metric, "95 % interval", *(["sd over seeds"] if comparison.compares_models else [])]
    estimates = [(letters[name], name, *_estimate_cells(estimate)) for name, estimate in comparison.estimates.items()]
    print_table(terminal, (*names, *number_columns(*numbers)), [row[: 2 + len(numbers)] for row in estimates])
    terminal.print()
    columns = ("pair", *number_columns("difference", "95 % interval", "p"), "conclusion")
    pairs = [(f"{letters[pair.first]} minus {letters[pair.second]}", *_cells(pair)) for pair in comparison.differences]
    print_table(terminal, columns, pairs, "Differences")
    print_text(terminal, _describe_method(comparison))
    print_text(terminal, _ABOUT_MODELS if comparison.compares_models else _ABOUT_RUNS)


def comparison_json(comparison: Comparison) -> str:
    """Return the comparison as one JSON object."""
    fields = {
        "figure": comparison.metric,
        "of_models": comparison.compares_models,
        "estimates": {name: asdict(estimate) for name, estimate in comparison.estimates.items()},
        "differences": [asdict(pair) | {"real": pair.significant} for pair in comparison.differences],
    }
    return json.dumps(fields, indent=1)


def _letters() -> Iterator[str]:
    """Yield A to Z, then AA, AB and so on."""
    for length in count(1):
        yield from map("".join, product(ascii_uppercase, repeat=length))


def _estimate_cells(estimate: MetricEstimate) -> tuple[str, ...]:
    interval = format_interval(estimate.low, estimate.high)
    return format_metric(estimate.value), interval, format_metric(estimate.deviation)


def _cells(pair: Difference) -> tuple[str, ...]:
    conclusion = "significant" if pair.significant else "tie"
    interval = format_interval(pair.low, pair.high, "+.4f")
    return format_metric(pair.value, "+.4f"), interval, format_metric(pair.p, ".2g"), conclusion


def _describe_method(comparison: Comparison) -> str:
    by_mcnemar = comparison.metric == "accuracy" and not comparison.compares_models
    test = "McNemar's test" if by_mcnemar else "paired bootstrap"
    pairs = len(comparison.differences)
    adjusted = f", adjusted for {pairs} comparisons (Holm)" if pairs > 1 else ""
    return f"Intervals: 95 %, bootstrap. p: {test}{adjusted}; a difference with p of 0.05 or more is a tie."
