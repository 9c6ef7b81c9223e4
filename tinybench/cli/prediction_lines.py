"""Answers about pictures as text, and how far maps can be believed as a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console as Terminal
from rich.table import Table

if TYPE_CHECKING:
    from tinybench.commands.explain import Explained
    from tinybench.commands.predict import Prediction


def format_prediction(found: Prediction) -> str:
    """The picture, then a class a line."""
    rows = [f"  {each:7.2%}  {label}" for label, each in zip(found.labels, found.probabilities, strict=True)]
    return "\n".join([str(found.path), *rows])


def prediction_json(found: Prediction) -> str:
    """One line for machines."""
    return json.dumps(found.plain())


def faithfulness(done: Explained, terminal: Terminal) -> None:
    """Each method beside a map of chance, and the files."""
    table = Table(box=None, pad_edge=False)
    for head in ("method", "deletion", "insertion"):
        table.add_column(head, justify="left" if head == "method" else "right")
    for name, area in done.deletion.items():
        table.add_row(name, f"{area:.3f}", f"{done.insertion[name]:.3f}")
    terminal.print(table)
    words = (
        "Area under the class's probability as the strongest pixels go (deletion: the lower the better) or come "
        "(insertion: the higher the better). A map that is no better than the random one explains nothing."
    )
    terminal.print(words, highlight=False, soft_wrap=True)
    for file in done.files:
        terminal.print(f"wrote {file}", highlight=False, soft_wrap=True, markup=False)
