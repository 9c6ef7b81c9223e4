"""Print the models with what is known of each before it is built; also as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from tinybench.display.fitted_table import number_columns, print_table
from tinybench.display.plain_lines import print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.models.model_cards import ModelCard

_LEGEND = (
    "parameters: without a classifier. pixels: side of the images that it was made for. ImageNet top-1: as Keras has "
    "published it. weights: of ImageNet; those that are to download come when a run needs them, and a model without is "
    "trained from scratch."
)
_OWN = "The path of a .keras or .h5 file is a model as well."


def print_models(cards: Iterable[ModelCard], terminal: Terminal) -> None:
    """Print one row per model."""
    rows = [
        (
            card.name,
            f"{card.parameters:,}",
            str(card.size),
            f"{card.top1:.3f}" if card.top1 else "",
            card.weights_state(),
        )
        for card in cards
    ]
    print_table(terminal, ("model", *number_columns("parameters", "pixels", "ImageNet top-1"), "weights"), rows)
    terminal.print()
    print_text(terminal, _LEGEND)
    print_text(terminal, _OWN)


def _make_row(card: ModelCard) -> tuple[str, ...]:
    top1 = "" if card.top1 is None else f"{card.top1:.3f}"
    return card.name, f"{card.parameters:,}", str(card.size), top1, card.weights_state()


def models_json(cards: Iterable[ModelCard]) -> str:
    """Return the models as a JSON array."""
    return json.dumps([asdict(card) | {"weights": card.weights_state()} for card in cards], indent=1)
