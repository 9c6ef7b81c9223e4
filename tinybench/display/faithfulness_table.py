"""Print how faithful the maps of an explanation are, beside random maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from tinybench.display.plain_lines import print_line

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
    table = Table(box=None, pad_edge=False)
    for title in ("method", "deletion", "insertion"):
        table.add_column(title, justify="left" if title == "method" else "right")
    for method, deletion in explanation.deletion.items():
        table.add_row(method, f"{deletion:.3f}", f"{explanation.insertion[method]:.3f}")
    terminal.print(table)
    print_line(terminal, _LEGEND)
    for file in explanation.files:
        print_line(terminal, f"wrote {file}")
