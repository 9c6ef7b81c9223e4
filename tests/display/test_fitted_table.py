"""Tables fit the terminal: no word is broken, no heading cut, nothing is lost and no line is longer than the width.

Every table of the command line is tested with long, realistic values; one that is new needs an entry in `long_tables`.
"""

from __future__ import annotations

import ast
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_tables import Print, long_tables
from rich.console import Console as Terminal
from rich.text import Text

import tinybench
from tinybench.display.fitted_table import Column, number_columns, print_table

PACKAGE = Path(tinybench.__file__).parent
WIDTHS = (60, 80, 120)


class Screen(Terminal):
    """A terminal that keeps what is printed, without lines to copy, which a real one wraps itself."""

    def __init__(self, width: int) -> None:
        super().__init__(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)

    def print(self, *texts, soft_wrap=False, **options):
        if not soft_wrap:
            super().print(*texts, **options)

    @property
    def lines(self) -> list[str]:
        return self.file.getvalue().splitlines()

    def words(self) -> Counter[str]:
        """Return how often each word was printed, without the colon that follows a heading in a block."""
        return Counter(word.removesuffix(":") for line in self.lines for word in line.split() if word.strip("─━"))


def printed(print_it: Print, width: int) -> Screen:
    screen = Screen(width)
    print_it(screen)
    return screen


def table(*args, width: int, **options) -> list[str]:
    screen = printed(lambda to: print_table(to, *args, **options), width)
    return [line.rstrip() for line in screen.lines]


# Every table of the command line


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return long_tables(tmp_path_factory.mktemp("tables"))


def functions_with_tables() -> set[str]:
    """Return the functions of the package that print a table, as `module.function`."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                names = {call.id if isinstance(call, ast.Name) else getattr(call, "attr", "") for call in calls}
                found |= {f"{file.stem}.{function.name}"} if "print_table" in names else set()
    return found


def test_every_function_that_prints_a_table_is_tested(tables):
    assert functions_with_tables() == set(tables)


def test_tables_of_rich_are_laid_out_in_one_module_alone():
    importing = {
        file.name
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in ("rich.table", "rich.columns", "rich.panel")
    }
    assert importing == {"fitted_table.py"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", sorted(functions_with_tables()))
def test_a_table_fits_and_loses_nothing(tables, name, width):
    for print_it in tables[name]:
        screen, wide = printed(print_it, width), printed(print_it, 1000)
        assert [line for line in screen.lines if len(line.rstrip()) > width] == []
        assert set(screen.words()) <= set(wide.words()), "a word is broken"
        assert wide.words() - heading_words(wide) - screen.words() == Counter(), "a value is lost"


def heading_words(screen: Screen) -> Counter[str]:
    """Return the words of the lines above rules, which blocks repeat or leave out."""
    above = [line for line, rule in zip(screen.lines, screen.lines[1:], strict=False) if rule.startswith("──")]
    return Counter(word for line in above for word in line.split())


# The layout


ROWS = [("2026-01-31 12:00", "refused", "3", "accuracy 0.7512, -0.0123 against the champion, which is below -0.01")]
COLUMNS = (Column("time", head=True), "decision", Column("version", right=True), Column("reason", wraps=True))


def test_a_wide_terminal_has_one_line_a_row():
    assert table(COLUMNS, ROWS, width=120, title="Decisions") == [
        "Decisions",
        "time              decision  version  reason",
        "─" * 104,
        "2026-01-31 12:00  refused         3  accuracy 0.7512, -0.0123 against the champion, which is below -0.01",
    ]


def test_texts_are_wrapped_between_words():
    assert table(COLUMNS, ROWS, width=80)[2:] == [
        "2026-01-31 12:00  refused         3  accuracy 0.7512, -0.0123 against the",
        "                                     champion, which is below -0.01",
    ]


def test_a_narrow_terminal_has_a_block_a_row():
    assert (
        table(COLUMNS, ROWS * 2, width=50)
        == [
            "2026-01-31 12:00  decision: refused  version: 3",
            "    reason: accuracy 0.7512, -0.0123 against the",
            "      champion, which is below -0.01",
        ]
        * 2
    )


def test_headings_are_wrapped_before_rows_become_blocks():
    lines = table(("phase", *number_columns("steps per epoch", "trained parameters")), [("a", "12", "345")], width=30)
    assert lines[:2] == ["        steps per      trained", "phase       epoch   parameters"]


def test_values_of_blocks_stand_below_each_other():
    columns = (Column("trial", right=True), *number_columns("val/accuracy", "transfer.lr", "head.dropout"))
    assert table(columns, [("7", "0.9", "0.001", "0.25"), ("12", "0.8765", "0.0123", "0.5")], width=45) == [
        "trial 7",
        "    val/accuracy: 0.9     transfer.lr: 0.001",
        "    head.dropout: 0.25",
        "trial 12",
        "    val/accuracy: 0.8765  transfer.lr: 0.0123",
        "    head.dropout: 0.5",
    ]


def test_brackets_are_no_markup_and_control_characters_are_not_obeyed():
    assert table(("name",), [("[bold]a[/bold] \x1b[31m\nb",)], width=60)[-1] == "[bold]a[/bold] ?[31m b"


def test_colours_stay_in_a_table_and_in_a_block():
    for width in (60, 12):
        to = Terminal(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
        print_table(to, ("gate", "result"), [("accuracy", Text("passed", "green"))])
        assert "\x1b[32mpassed" in to.file.getvalue()


def test_a_word_that_is_wider_than_the_terminal_is_left_whole():
    path = "/home/somebody/" + "long/" * 20
    assert path in "\n".join(table(("file", Column("path", wraps=True)), [("a", f"in {path} somewhere")], width=40))


words = st.text("abcäß-./", min_size=1, max_size=30)
texts = st.lists(words, min_size=0, max_size=8).map(" ".join)


@given(
    st.lists(
        st.builds(Column, texts.map(lambda text: f"h{text}"), st.booleans(), st.booleans()), min_size=1, max_size=8
    ),
    st.data(),
    st.integers(40, 130),
)
def test_nothing_is_lost_or_broken_at_any_width(columns, data, width):
    rows = data.draw(st.lists(st.tuples(*[texts] * len(columns)), max_size=4))
    screen = printed(lambda to: print_table(to, columns, rows), width)
    cells = Counter(word.removesuffix(":") for row in rows for cell in row for word in cell.split())
    assert cells - screen.words() == Counter()
    longest = max((len(word) for line in screen.lines for word in line.split() if word.strip("─")), default=0)
    assert all(len(line.rstrip()) <= max(width, longest + 6) for line in screen.lines)
