"""The formats in which a board is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

from tinybench.core.csv_text import to_csv
from tinybench.core.html_table import html_list, html_table
from tinybench.core.printable_text import make_printable
from tinybench.leaderboard import published
from tinybench.leaderboard.board_columns import COLUMNS, BoardColumn, choose_columns
from tinybench.leaderboard.board_notes import describe_images, list_conclusions, list_notes
from tinybench.leaderboard.ranking_metrics import METRICS

if TYPE_CHECKING:
    from tinybench.leaderboard.dataset_board import DatasetBoard
    from tinybench.leaderboard.failed_cells import FailedCell

FORMATS = ("table", "md", "csv", "json", "html", "latex")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "[": "{[}", "*": "{*}",  # would be arguments of the line break or the item before them
}  # fmt: skip
_MARKDOWN = "\\|`*_[]<>#~$&"
_FORMULA_SIGNS = ("=", "+", "-", "@")


def write_board(board: DatasetBoard, names: Sequence[str], style: str, *, with_published: bool = False) -> str:
    """Return a board in one of `FORMATS` other than `table`.

    Args:
        board: The board.
        names: Names of columns, see `board_columns.COLUMNS`; JSON has all that is known.
        style: The format. CSV has the table and, in a column of their own, the failed cells; the others have the notes
            as well.
        with_published: Whether published metrics are written in brackets behind ours.
    """
    if style == "json":
        return json.dumps(to_json(board), indent=1, allow_nan=False)
    columns = choose_columns(board, names, with_published=with_published)
    rows = [[make_printable(column.read(row)) for column in columns] for row in board.rows]
    if style == "csv":
        return _write_csv(board, columns, rows)
    titles = [column.title for column in columns]
    if style == "html":
        heading = describe_images(board)
        table = html_table(titles, rows, caption=heading) if rows else f"<p>{escape(heading)}</p>"
        # A file with this part of a page may be read in any encoding
        notes = html_list(list_conclusions(board)) + html_list(list_notes(board))
        return (table + notes).encode("ascii", "xmlcharrefreplace").decode()
    numbers = [column.is_number for column in columns]
    return "\n".join((_markdown_lines if style == "md" else _latex_lines)(board, titles, rows, numbers))


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
            "published": published.find_published(row, f"test/{row.metric}"),
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
        "lower_is_better": METRICS[board.metric].lower_is_better,
        "compares_models": board.compares_models,
        "models": rows,
        "pairs": [asdict(pair) for pair in board.pairs],
        "left_out": board.left_out,
        "hints": board.hints,
        "failed": [asdict(cell) for cell in board.failed],
        "halved": [asdict(model) for model in board.halved],
    }


def _or_null(value: float) -> float | None:
    return value if isfinite(value) else None


def _write_csv(board: DatasetBoard, columns: Sequence[BoardColumn], rows: list[list[str]]) -> str:
    titles = [column.title for column in columns]
    table = [[_disarm(column, text) for column, text in zip(columns, row, strict=True)] for row in rows]
    if board.failed:
        titles = [*titles, "failed"]
        table = [[*row, ""] for row in table]
        table += [
            [*(_disarm(column, column.read_failed(cell)) for column in columns), _reason(cell)] for cell in board.failed
        ]
    return to_csv(titles, table, line_end="\n").rstrip("\n")


def _reason(cell: FailedCell) -> str:
    return make_printable(f"seed {cell.seed}: {cell.reason}")


def _disarm(column: BoardColumn, text: str) -> str:
    """Return a text that a spreadsheet takes for no formula, such as =HYPERLINK(…), and for no date, such as 1-2."""
    if column.is_number:
        return text.replace("-", " to ") if column is COLUMNS["rank"] else text
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text


def _markdown_lines(
    board: DatasetBoard, titles: list[str], rows: list[list[str]], numbers: list[bool]
) -> Iterator[str]:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(map(_escape_markdown, cells))} |"

    yield f"**{_escape_markdown(describe_images(board))}**"
    if rows:
        yield from ("", line(titles), f"|{'|'.join('---:' if is_number else '---' for is_number in numbers)}|")
        yield from map(line, rows)
    notes = [*list_conclusions(board), *list_notes(board)]
    yield from ("", *(f"- {_escape_markdown(note)}" for note in notes)) if notes else ()


def _escape_markdown(text: str) -> str:
    escaped = "".join(f"\\{letter}" if letter in _MARKDOWN else letter for letter in text)
    return f"\\{escaped}" if text.startswith(("-", "+")) else escaped  # it would begin a list


def _latex_lines(board: DatasetBoard, titles: list[str], rows: list[list[str]], numbers: list[bool]) -> Iterator[str]:
    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(map(_escape_latex, cells))} \\\\"

    if rows:
        yield f"% {describe_images(board)}"
        yield f"\\begin{{tabular}}{{{''.join('r' if is_number else 'l' for is_number in numbers)}}}"
        yield from ("\\hline", line(titles), "\\hline", *map(line, rows), "\\hline", "\\end{tabular}")
    else:
        yield _escape_latex(describe_images(board))
    notes = [*list_conclusions(board), *list_notes(board)]
    if notes:
        yield from ("\\begin{itemize}", *(f"\\item {_escape_latex(note)}" for note in notes), "\\end{itemize}")


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
