"""The columns of a board as text, and the formats in which a board is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

from tinybench.core.csv_text import to_csv
from tinybench.core.html_table import html_table
from tinybench.core.metric_text import format_interval, format_metric
from tinybench.leaderboard import published
from tinybench.leaderboard.board import BoardRow, DatasetBoard

FORMATS = ("table", "md", "csv", "json", "html", "latex")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_FORMULA_SIGNS = ("=", "+", "-", "@")


@dataclass(frozen=True)
class BoardColumn:
    """A column of a board.

    Attributes:
        title: The heading.
        read: Returns the value of a row, as text.
        is_number: Whether it is a number, which is aligned at the right.
        metric: The stored metric that it shows; empty if it shows something else.
        spec: How a metric is formatted, as in `format`.
    """

    title: str
    read: Callable[[BoardRow], str]
    is_number: bool = True
    metric: str = ""
    spec: str = ""


def _metric_column(title: str, metric: str, spec: str = ".4f", unit: float = 1.0) -> BoardColumn:
    return BoardColumn(title, lambda row: format_metric(row.mean(metric) / unit, spec), metric=metric, spec=spec)


def _format_reproduced(row: BoardRow) -> str:
    figure = published.find_published(row, "test/accuracy")
    if figure is None:
        return ""
    return "above" if row.low > figure else "below" if row.high < figure else "yes"


def _format_ranks(row: BoardRow) -> str:
    lowest, highest = row.ranks
    return str(lowest) if lowest == highest else f"{lowest}-{highest}"


COLUMNS = {
    "rank": BoardColumn("rank", _format_ranks),
    "model": BoardColumn("model", lambda row: row.name, is_number=False),
    "value": BoardColumn("", lambda row: format_metric(row.value)),
    "interval": BoardColumn("95 % interval", lambda row: format_interval(row.low, row.high)),
    "sd": BoardColumn("sd over seeds", lambda row: format_metric(row.deviation)),
    "seeds": BoardColumn("seeds", lambda row: str(len(row.entries))),
    "loss": _metric_column("log loss", "test/log_loss"),
    "top1": _metric_column("test top-1", "test/accuracy"),
    "top5": _metric_column("top-5", "test/top5"),
    "f1": _metric_column("F1", "test/f1_macro"),
    "auc": _metric_column("AUC", "test/auc_ovr_macro"),
    "ece": _metric_column("ECE", "test/ece"),
    "val_loss": _metric_column("val loss", "best/val_loss"),
    "val_top1": _metric_column("val top-1", "best/val_accuracy"),
    "val_top5": _metric_column("val top-5", "best/val_top5"),
    "parameters": _metric_column("params M", "efficiency/parameters", ".2f", 1e6),
    "size": _metric_column("weights MB", "efficiency/weight_bytes", ".1f", 1e6),
    "p50": _metric_column("CPU p50 ms", "efficiency/cpu_latency_p50_ms", ".2f"),
    "p99": _metric_column("CPU p99 ms", "efficiency/cpu_latency_p99_ms", ".2f"),
    "gpu": _metric_column("GPU p50 ms", "efficiency/gpu_latency_p50_ms", ".2f"),
    "memory": _metric_column("memory MB", "efficiency/cpu_memory_peak_bytes", ".0f", 1e6),
    "energy": _metric_column("energy J", "efficiency/gpu_energy_joules", ".3g"),
    "training": _metric_column("training s", "efficiency/training_seconds", ".0f"),
    "published": BoardColumn("published", lambda row: format_metric(published.find_published(row, "test/accuracy"))),
    "reproduced": BoardColumn("reproduced", _format_reproduced, is_number=False),
}
"""The columns by the names that `--columns` takes."""

DEFAULT_COLUMNS = (
    *("rank", "model", "value", "interval", "sd", "seeds", "top5", "f1", "ece"),
    *("parameters", "p50", "training", "published", "reproduced"),
)


def choose_columns(board: DatasetBoard, names: Sequence[str], *, with_published: bool = False) -> list[BoardColumn]:
    """Return the columns of some names without those that no row has a value for.

    Args:
        board: The board.
        names: Names of columns, see `COLUMNS`.
        with_published: Whether published metrics are written in brackets behind ours.
    """
    titles = {"value": {"accuracy": "top-1", "top5": "top-5"}.get(board.metric, board.metric)}
    columns = [
        replace(COLUMNS[name], title=titles.get(name, COLUMNS[name].title))
        for name in names
        if not (name == "top5" and board.metric == "top5")
    ]
    columns = [column for column in columns if any(column.read(row) for row in board.rows)]
    return [*map(add_published, columns)] if with_published else columns


def add_published(column: BoardColumn) -> BoardColumn:
    """Return a column that has the published metric in brackets behind ours, where there is one."""

    def read(row: BoardRow) -> str:
        figure = published.find_published(row, column.metric)
        return column.read(row) + (f" ({format_metric(figure, '.4g')})" if figure is not None else "")

    return replace(column, read=read) if column.metric else column


def write_board(board: DatasetBoard, names: Sequence[str], style: str, *, with_published: bool = False) -> str:
    """Return a board in one of `FORMATS` other than `table`.

    Args:
        board: The board.
        names: Names of columns, see `COLUMNS`; JSON has all that is known.
        style: The format.
        with_published: Whether published metrics are written in brackets behind ours.
    """
    if style == "json":
        return json.dumps(to_json(board), indent=1, allow_nan=False)
    columns = choose_columns(board, names, with_published=with_published)
    titles = [column.title for column in columns]
    rows = [[column.read(row) for column in columns] for row in board.rows]
    if style == "csv":
        return _write_csv(titles, rows)
    if style == "html":
        return html_table(titles, rows, caption=_caption(board))
    numbers = [column.is_number for column in columns]
    return (_write_markdown if style == "md" else _write_latex)(titles, rows, numbers, _caption(board))


def to_json(board: DatasetBoard) -> dict[str, Any]:
    """Return all that is known of a board as values for JSON; null where a number is not defined."""
    rows = [
        {
            "model": row.name,
            board.metric: row.value,
            "low": row.low,
            "high": row.high,
            "sd": _or_null(row.deviation),
            "seeds": row.seeds,
            "ranks": row.ranks,
            "may_be_best": row.may_be_best,
            "published": published.find_published(row, "test/accuracy"),
            "reproduced": published.is_reproduced(row),
            "runs": [entry.run.run_id for entry in row.entries],
            "metrics": {name: _or_null(row.mean(name)) for name in sorted(row.entries[0].phase_run.metrics)},
        }
        for row in board.rows
    ]
    return {
        "dataset": board.dataset,
        "images": board.images,
        "metric": board.metric,
        "delta": board.margin,
        "compares_models": board.compares_models,
        "models": rows,
        "pairs": [asdict(pair) for pair in board.pairs],
        "left_out": board.left_out,
        "hints": board.hints,
        "failed": [asdict(cell) for cell in board.failed],
    }


def _or_null(value: float) -> float | None:
    return value if isfinite(value) else None


def _caption(board: DatasetBoard) -> str:
    return f"{board.dataset}, {board.images:,} test images"


def _write_csv(titles: list[str], rows: list[list[str]]) -> str:
    # A spreadsheet would run a name such as =HYPERLINK(…) as a formula
    safe = ([f"'{text}" if text.startswith(_FORMULA_SIGNS) else text for text in row] for row in rows)
    return to_csv(titles, safe, line_end="\n").rstrip("\n")


def _write_markdown(titles: list[str], rows: list[list[str]], numbers: list[bool], caption: str) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(_escape_markdown(cell) for cell in cells)} |"

    rule = f"|{'|'.join('---:' if is_number else '---' for is_number in numbers)}|"
    return "\n".join([_escape_markdown(caption), "", line(titles), rule, *map(line, rows)])


def _escape_markdown(text: str) -> str:
    escaped = "".join(f"\\{letter}" if letter in "\\|`*_[]<>#" else letter for letter in text)
    return " ".join(escaped.split())


def _write_latex(titles: list[str], rows: list[list[str]], numbers: list[bool], caption: str) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(_escape_latex(cell) for cell in cells)} \\\\"

    layout = "".join("r" if is_number else "l" for is_number in numbers)
    return "\n".join(
        [
            f"% {' '.join(caption.split())}",
            f"\\begin{{tabular}}{{{layout}}}",
            "\\hline",
            line(titles),
            "\\hline",
            *map(line, rows),
            "\\hline",
            "\\end{tabular}",
        ]
    )


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
