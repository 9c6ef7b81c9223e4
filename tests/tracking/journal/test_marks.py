"""The tag of a run that says what the store has of each of its journals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tinybench.tracking.journal.marks import Marks

NUMBERS = st.integers(0, 10**6)
NAMES = st.text("0123456789abcdef", min_size=32, max_size=32)
MARKS = st.lists(st.tuples(NAMES, NUMBERS, st.sets(NUMBERS, max_size=4)), max_size=3)


def texts(marks: list[tuple[str, int, set[int]]]) -> list[str]:
    return [":".join([name, "-".join(map(str, [upto, *sorted(missing)]))]) for name, upto, missing in marks]


@given(MARKS, NUMBERS, st.sets(NUMBERS, max_size=50), MARKS)
def test_marks_come_back_from_their_text(before, upto, missing, after):
    marks = Marks(texts(before), upto, texts(after), missing)
    assert Marks.parse(marks.text("own", upto), "own") == marks
    assert Marks.parse(marks.text("own", upto - 1), "own") == marks
    assert Marks.parse(marks.text("own", upto + 7), "own").upto == upto + 7


@given(MARKS, st.text(max_size=40))
def test_what_is_no_mark_stays_as_it_is(marks, text):
    words = " ".join([*texts(marks), *text.split()])
    parsed = Marks.parse(words, "own")
    assert parsed.upto == -1 or "own:" in text
    if parsed.upto == -1:
        assert parsed.text("own", 3).split()[:-1] == words.split()


def test_each_journal_sees_its_own_mark():
    text = "a:3-1-2 b:7 c:9-4"
    assert Marks.parse(text, "a") == Marks([], 3, ["b:7", "c:9-4"], {1, 2})
    assert Marks.parse(text, "b") == Marks(["a:3-1-2"], 7, ["c:9-4"])
    assert Marks.parse(text, "c") == Marks(["a:3-1-2", "b:7"], 9, [], {4})


def test_missing_numbers_fit_into_a_tag():
    marks = Marks([], 10**6, [], set(range(10**5, 10**5 + 1000)))
    assert len(marks.text("0" * 32, 10**6)) < 5000
