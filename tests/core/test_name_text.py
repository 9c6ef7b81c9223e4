"""Names from file systems: one spelling for what looks alike, and text that can be stored."""

from __future__ import annotations

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinybench.core.name_text import clean_name, find_name

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (DECOMPOSED, COMPOSED),
        (os.fsdecode(b"\xb9\xb7"), r"\xb9\xb7"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("line\u2028separator", r"line\u2028separator"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("\ud800", r"\xed\xa0\x80"),
        ("plain name", "plain name"),
    ],
)
def test_names_are_composed_and_escaped(name: str, expected: str) -> None:
    assert clean_name(name) == expected


def test_a_name_is_found_however_its_accents_are_encoded() -> None:
    assert find_name(DECOMPOSED, ["a", COMPOSED]) == 1
    assert find_name(COMPOSED, ["a", DECOMPOSED]) == 1
    assert find_name("cafe", [COMPOSED]) is None


@given(st.binary(max_size=20))
@example(b"\x0e\xcc\xad")  # an accent on a control character
def test_any_file_name_becomes_text_that_can_be_stored(data: bytes) -> None:
    cleaned = clean_name(os.fsdecode(data))
    assert clean_name(cleaned) == cleaned
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert len(cleaned.splitlines()) <= 1
