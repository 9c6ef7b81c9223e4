"""Shortened names fit, and stay apart."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import cbook
from strangers import NAMES

from tinybench.plots import style
from tinybench.plots.short_names import shorten_names

ALIKE = st.builds(
    lambda beginning, ends, rest: [f"{beginning}{end}{rest}" for end in ends],
    st.text(max_size=80),
    st.lists(st.text(max_size=20), min_size=1, max_size=8),
    st.text(max_size=80),
)


@settings(deadline=None, max_examples=50)  # measuring text takes its time
@given(st.one_of(ALIKE, st.lists(st.text(max_size=60), max_size=8)), st.floats(0.6, 3), st.integers(1, 4))
def test_different_names_have_different_texts_that_fit(names: list[str], width: float, lines: int) -> None:
    texts = shorten_names(names, width, max_lines=lines)
    assert len(texts) == len(names)
    by_name = dict(zip(names, texts, strict=True))
    escaped = {style.escape_missing_glyphs(name) for name in names}
    assert lines > 1 or len(set(texts)) == len(escaped)
    assert texts == [by_name[name] for name in names]
    for text in texts:
        assert not cbook.is_math_text(text)
        assert len(text.split("\n")) <= lines
        assert all(style.text_width(line.replace(r"\$", "$")) <= width for line in text.split("\n"))


def test_a_name_that_fits_is_left_as_it_is() -> None:
    assert shorten_names(["cat", "$x$", "cat"], 1) == ["cat", r"\$x\$", "cat"]


def test_a_long_name_among_others_is_cut_at_its_end() -> None:
    assert shorten_names(["Egyptian cat of the house", "tabby"], 1) == ["Egyptian cat of…", "tabby"]


def test_names_that_begin_alike_are_told_apart_by_what_differs() -> None:
    runs = [f"mobilenetv2 on tiny-imagenet ({run})" for run in ("1f0e9a77", "1f0e2b13", "77c0d1aa")]
    for width in (2.0, 1.6, 1.2):
        texts = shorten_names(runs, width)
        assert all(text.startswith("mob") for text in texts)
        assert [text[-9:-1] for text in texts] == ["1f0e9a77", "1f0e2b13", "77c0d1aa"]


def test_a_word_that_differs_is_shown_from_its_beginning() -> None:
    texts = shorten_names([f"a photograph of number {number}, taken in June" for number in (1007, 1008)], 1.3)
    assert ["1007," in texts[0], "1008," in texts[1]] == [True, True]


def test_where_nothing_else_is_possible_equal_texts_are_numbered() -> None:
    texts = shorten_names(["W" * 99 + end for end in "abc"], 0.25)
    assert len(set(texts)) == 3


def test_two_hundred_names_of_strangers_stay_apart() -> None:
    names = [f"{name}{number}" for number in range(20) for name in NAMES]
    for lines in (1, 4):
        assert len(set(shorten_names(names, 1.5, max_lines=lines))) == len(names)
