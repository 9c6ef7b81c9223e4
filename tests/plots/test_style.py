"""Words of others: drawn as they are, within the width that there is."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import cbook

from tinybench.plots import style


@given(st.text(max_size=60), st.floats(0.3, 3), st.sampled_from([style.SMALL, style.LARGE]))
def test_a_name_fits_its_width_and_is_no_mathematics(text: str, width: float, size: float) -> None:
    found = style.fit_text(text, width, size)
    assert not cbook.is_math_text(found)
    assert style.text_width(found.replace(r"\$", "$"), size) <= width
    assert "\n" not in found


@given(st.text(max_size=200), st.integers(1, 8))
def test_a_paragraph_has_no_more_lines_than_there_is_room_for(text: str, most: int) -> None:
    lines = style.wrap_text(text, 1, max_lines=most).split("\n")
    assert len(lines) <= most
    assert all(style.text_width(line.replace(r"\$", "$")) <= 1 for line in lines)


def test_what_fits_is_left_as_it_is() -> None:
    assert style.fit_text("<b>cat</b> 5 % {}", 3) == "<b>cat</b> 5 % {}"
    assert style.fit_text("$x$", 3) == r"\$x\$"


def test_what_is_too_long_is_cut_as_late_as_can_be() -> None:
    assert style.fit_text("W" * 50, 1) == "W" * 7 + "…"
    assert style.fit_text("i" * 50, 1).count("i") > 20


@pytest.mark.parametrize(
    ("text", "drawn"), [("\u732b\u72d7", r"\u732b\u72d7"), ("a\nb", r"a\nb"), ("\udcff", r"\udcff"), ("été ✓", "été ✓")]
)
def test_characters_that_the_font_lacks_become_escapes_so_that_names_stay_apart(text: str, drawn: str) -> None:
    assert style.escape_missing_glyphs(text) == drawn


def test_a_paragraph_breaks_between_words_and_keeps_its_own_lines() -> None:
    assert style.wrap_text("one\ntwo", 3) == "one\ntwo"
    assert style.wrap_text("Egyptian cat, tabby cat", 1).split("\n") == ["Egyptian cat,", "tabby cat"]
    assert style.wrap_text("word " * 90, 0.4, max_lines=2) == "word\nwor…"


def test_a_figure_is_white_whatever_the_page() -> None:
    figure = style.new_figure(3, 2, "a $title$\nof two lines")
    assert figure.get_facecolor() == (1, 1, 1, 1)
    assert figure.get_suptitle() == "a \\$title\\$\nof two lines"
    figure.savefig(io.BytesIO())
