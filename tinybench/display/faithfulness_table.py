"""Print how faithful the maps of an explanation are, beside random maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench.display.fitted_table import number_columns, print_table
from tinybench.display.plain_lines import print_line, print_text

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.commands.explain import Explanation

_LEGEND = (
    "Area under the curve of the class's probability while the pixels are removed, those of the highest values first "
    "(deletion: lower is better), or inserted (insertion: higher is better). A map that is no better than the random "
    "one explains nothing."
)


def print_faithfulness_table(explanation: Explanation, terminal: Terminal) -> None:
    """Print both areas of every method, and the files that were written."""
    rows = [
        (method, f"{deletion:.3f}", f"{explanation.insertion[method]:.3f}")
        for method, deletion in explanation.deletion.items()
    ]
    print_table(terminal, ("method", *number_columns("deletion", "insertion")), rows)
    print_text(terminal, _LEGEND)
    for file in explanation.files:
        print_line(terminal, f"wrote {file}")
