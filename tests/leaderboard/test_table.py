"""Each format of a board is whole for boards of any size, and names of strangers do nothing in it."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest
from made_boards import MadeStore, build_board
from rich.console import Console

from tinybench.display.board_table import print_board, print_boards
from tinybench.leaderboard.board_columns import DEFAULT_COLUMNS
from tinybench.leaderboard.dataset_board import DatasetBoard
from tinybench.leaderboard.table import FORMATS, write_board

HOSTILE = (
    '<script>alert("1")</script>',
    "=HYPERLINK(1)",
    "@SUM(A1)",
    "+1+1",
    "-1",
    "\\input{x}|$a$ & 5 % #1_2^3~",
    "a|b`c` *bold* [link](javascript:alert(1)) ![x](y)",
    "\x1b[31mred\x1b]0;title\x07\x9b2J\u202egnp",
    "[0.5cm]",
    "* item\n- item\r\n# title\x00",
    "long " * 60 + "name" * 50,
)


@pytest.fixture
def hostile(made: MadeStore) -> DatasetBoard:
    for number, name in enumerate(HOSTILE):
        warning = {"data.warnings": f"{name} is a class."}
        made.add(name, 0, made.correct(10 + number), params={"dataset": HOSTILE[0] + HOSTILE[7]}, run_tags=warning)
    return build_board(made)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == []
        self.found.add(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def controls(text: str) -> list[str]:
    return [character for character in text if character != "\n" and not character.isprintable()]


@pytest.mark.parametrize("style", [style for style in FORMATS if style != "table"])
def test_no_format_has_a_character_that_a_terminal_obeys(hostile: DatasetBoard, style: str):
    assert controls(write_board(hostile, DEFAULT_COLUMNS, style)) == []


def test_html_has_no_tags_but_its_own(hostile: DatasetBoard):
    parser = Tags()
    parser.feed(write_board(hostile, DEFAULT_COLUMNS, "html"))
    assert parser.found == {"table", "caption", "thead", "tr", "th", "tbody", "td", "ul", "li"}
    assert HOSTILE[0] in parser.cells
    assert hostile._repr_html_() == write_board(hostile, DEFAULT_COLUMNS, "html")


def test_csv_has_a_field_for_each_cell_and_no_formula(hostile: DatasetBoard):
    heading, *rows = csv.reader(io.StringIO(write_board(hostile, ("model", "value", "sd"), "csv")))
    assert heading == ["model", "top-1"]
    assert [len(row) for row in rows] == [2] * len(HOSTILE)
    assert {"'=HYPERLINK(1)", "'@SUM(A1)", "'+1+1", "'-1"} < {row[0] for row in rows}
    assert not [field for row in rows for field in row if field.startswith(("=", "+", "-", "@"))]


def test_a_spreadsheet_takes_ranks_for_no_dates(hostile: DatasetBoard):
    _, *rows = csv.reader(io.StringIO(write_board(hostile, ("rank",), "csv")))
    assert rows == [[f"1 to {len(HOSTILE)}"]] * len(HOSTILE)


def test_html_is_read_in_any_encoding(made: MadeStore):
    made.add("réseau", 0, made.correct(20))
    text = write_board(build_board(made), ("model",), "html")
    assert text.isascii()
    assert "<td>r&#233;seau</td>" in text


def test_markdown_has_a_row_for_each_model_and_escapes_the_rest(hostile: DatasetBoard):
    heading, _, titles, rule, *rows = write_board(hostile, ("model", "value"), "md").split("\n")
    table, notes = rows[: len(HOSTILE)], rows[len(HOSTILE) + 1 :]
    assert heading.startswith("**\\<script\\>")
    assert (titles, rule) == ("| model | top-1 |", "|---|---:|")
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in table)
    assert not re.findall(r"(?<!\\)[<`$\[]", "".join(table + notes))
    assert all(note.startswith("- ") and not note.startswith("- - ") for note in notes)


def test_latex_has_no_commands_but_its_own(hostile: DatasetBoard):
    text = write_board(hostile, ("model", "value"), "latex")
    commands = {*re.findall(r"\\[a-z]+", text)}
    own = {"\\begin", "\\end", "\\hline", "\\item"}
    assert commands == own | {"\\textbackslash", "\\textasciicircum", "\\textasciitilde", "\\textless", "\\textgreater"}
    lines = text[text.index("\\begin{tabular}") : text.index("\\end{tabular}")].split("\n")[4:-2]
    assert len(lines) == len(HOSTILE)
    assert all(len(re.findall(r"(?<!\\)&", line)) == 1 and line.endswith(" \\\\") for line in lines)
    assert not [line for line in text.split("\n") if line.startswith(("[", "*", "\\item ["))]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_obeys_no_name(hostile: DatasetBoard, width: int):
    stream = io.StringIO()
    print_board(hostile, DEFAULT_COLUMNS, Console(file=stream, width=width))
    text = stream.getvalue()
    assert controls(text) == []
    assert "?[31mred?]0;title??2J?gnp" in " ".join(text.split())


@pytest.mark.parametrize("style", FORMATS)
def test_boards_of_one_run_and_of_runs_without_predictions_are_written(made: MadeStore, style: str, capsys):
    made.add("one", 0, made.correct(20))
    made.add("without", 0, None, metrics={"test/accuracy": 0.9}, test_hash="other")
    from tinybench.commands.leaderboard import rank_models

    print_boards(rank_models(uri=made.uri), DEFAULT_COLUMNS, style)
    text = capsys.readouterr().out
    assert "0.95" in text
    if style == "json":
        assert [board["left_out"] for board in json.loads(text)] == [{}, {"runs without predictions": 1}]
    elif style != "csv":
        assert "made: no run can be ranked." in text
        assert "Not ranked: 1 run without predictions." in text
    assert "nan" not in text.lower()
    assert "\n\n\n" not in text


def test_documents_have_the_hints(made: MadeStore):
    for seed in range(3):
        made.add("a", seed, made.correct(20 + seed))
    made.add("b", 0, made.correct(30), run_tags={"data.warnings": "5 images are in train and test."})
    board = build_board(made)
    for style in ("md", "html", "latex"):
        text = write_board(board, DEFAULT_COLUMNS, style)
        assert "One seed only: b." in text
        assert "5 images are in train and test." in text
