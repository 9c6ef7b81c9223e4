"""A comparison as two tables: each side with its interval, and each pair with what can be said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count, product
from string import ascii_uppercase
from typing import TYPE_CHECKING

from rich.console import Console as Terminal
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from tinybench.evaluation.comparison import Comparison, Difference

_OF_RUNS = (
    "This compares these runs, on these test images: another seed may come out otherwise. For a word on the models, "
    "give several runs of each that differ in the seed alone."
)
_OF_MODELS = (
    "This compares models: seeds and test images were both resampled, seed by seed where two models have the same "
    "ones. A model with a single run is taken to vary with its seed as the others do."
)
_METHOD = "Intervals: 95 %, bootstrap. p: {test}{of}; a tie where p is 0.05 or more."


def print_comparison(found: Comparison, terminal: Terminal) -> None:
    """Print what is compared, how it differs, and of what that speaks."""
    letters = dict(zip(found.estimates, _letters(), strict=False))
    sides = Table(box=None, pad_edge=False)
    for head in ("", "", found.metric, "95 % interval", "sd over seeds"):
        sides.add_column(head, justify="right" if head else "left", overflow="fold")
    for name, each in found.estimates.items():
        deviation = "" if each.deviation is None else f"{each.deviation:.4f}"
        interval = f"[{each.low:.4f}, {each.high:.4f}]"
        sides.add_row(letters[name], *map(escape, (name, f"{each.value:.4f}", interval, deviation)))
    terminal.print(sides)
    pairs = Table(box=None, pad_edge=False, title="Differences", title_justify="left")
    for head in ("", "difference", "95 % interval", "p", ""):
        pairs.add_column(head, justify="right" if head in ("difference", "p") else "left", no_wrap=True)
    for pair in found.differences:
        pairs.add_row(f"{letters[pair.first]} less {letters[pair.second]}", *map(escape, _cells(pair)))
    terminal.print(pairs)
    mcnemar = found.metric == "accuracy" and not found.compares_models
    test = "McNemar's test" if mcnemar else "paired bootstrap"
    pairs_of = len(found.differences)
    of = f", adjusted for {pairs_of} comparisons (Holm)" if pairs_of > 1 else ""
    for line in (_METHOD.format(test=test, of=of), _OF_MODELS if found.compares_models else _OF_RUNS):
        terminal.print(line, highlight=False, soft_wrap=True)


def comparison_json(found: Comparison) -> str:
    """Return the comparison as one JSON object."""
    fields = {
        "figure": found.metric,
        "of_models": found.compares_models,
        "estimates": {name: asdict(estimate) for name, estimate in found.estimates.items()},
        "differences": [asdict(pair) | {"real": pair.significant} for pair in found.differences],
    }
    return json.dumps(fields, indent=1)


def _letters() -> Iterator[str]:
    """A to Z, then AA, AB and so on."""
    for length in count(1):
        yield from map("".join, product(ascii_uppercase, repeat=length))


def _cells(pair: Difference) -> tuple[str, ...]:
    verdict = "real" if pair.significant else "tie"
    return f"{pair.value:+.4f}", f"[{pair.low:+.4f}, {pair.high:+.4f}]", f"{pair.p:.2g}", verdict
