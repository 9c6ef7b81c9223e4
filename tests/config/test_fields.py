"""Each kind of value: what it takes, what it refuses, how it names itself."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinybench.config.fields import (
    boolean,
    byte_size,
    choice,
    float_list,
    float_range,
    format_value,
    import_paths,
    int_list,
    int_range,
    optional,
    setting,
    text,
    text_list,
    union,
)

REFUSED = (ValueError, TypeError, KeyError, OverflowError)


@given(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from(["[]", "[)", "(]", "()"]))
def test_number_keeps_to_its_bounds(value, ends):
    kind = float_range(-1, 1, min_open=ends[0] == "(", max_open=ends[1] == ")")
    inside = -1 < value < 1 or (value == -1 and ends[0] == "[") or (value == 1 and ends[1] == "]")
    if inside:
        assert kind.parse(value) == value
        assert kind.parse(repr(value)) == value
    else:
        with pytest.raises(ValueError):
            kind.parse(value)


@pytest.mark.parametrize("ends", ["[]", "[)", "(]", "()"])
@pytest.mark.parametrize("value", [-1, 1, "-1", "1.0"])
def test_number_at_a_bound(value, ends):
    end = ends[0] if float(value) < 0 else ends[1]
    if end in "[]":
        assert float_range(-1, 1, min_open=ends[0] == "(", max_open=ends[1] == ")").parse(value) == float(value)
    else:
        with pytest.raises(ValueError):
            float_range(-1, 1, min_open=ends[0] == "(", max_open=ends[1] == ")").parse(value)


@pytest.mark.parametrize("value", ["abc", "", None, True, math.nan, "nan", "inf", [1]])
def test_number_refuses(value):
    with pytest.raises(REFUSED):
        float_range().parse(value)


@given(st.integers())
def test_integer_keeps_to_its_bounds(value):
    kind = int_range(2, 50)
    if 2 <= value <= 50:
        assert kind.parse(value) == kind.parse(str(value)) == kind.parse(float(value)) == value
        assert type(kind.parse(float(value))) is int
    else:
        with pytest.raises(ValueError):
            kind.parse(value)


@pytest.mark.parametrize("value", ["2.0", "two", "", None, True, 2.5, math.nan, math.inf])
def test_integer_refuses(value):
    with pytest.raises(REFUSED):
        int_range(0).parse(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", True),
        ("YES", True),
        (" on ", True),
        ("1", True),
        (True, True),
        (1, True),
        ("False", False),
        ("no", False),
        ("off", False),
        ("0", False),
        (False, False),
        (0, False),
    ],
)
def test_boolean_in_the_spellings_people_use(value, expected):
    assert boolean().parse(value) is expected


@pytest.mark.parametrize("value", ["maybe", "", None, 2])
def test_boolean_refuses(value):
    with pytest.raises(REFUSED):
        boolean().parse(value)


def test_text():
    assert text().parse("  a b ") == "a b"
    assert text().parse(5) == "5"
    assert text().parse(Path("a.keras")) == "a.keras"
    for value in ("", "  ", None, 1.5, ["a"]):
        with pytest.raises(ValueError):
            text().parse(value)


def test_choice():
    assert choice("avg", "max").parse("max") == "max"
    for value in ("Max", "", None, ["avg"]):
        with pytest.raises(ValueError):
            choice("avg", "max").parse(value)


def test_words():
    assert text_list("names").parse("a, b") == text_list("names").parse(["a", "b"]) == ("a", "b")
    assert text_list("names").parse([]) == ()
    for value in ("", "a,,b", ["a", ""]):
        with pytest.raises(ValueError):
            text_list("names").parse(value)
    with pytest.raises(ValueError):
        text_list("names", ("a", "b")).parse("a,c")


UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("kMGT", start=1)}


@given(
    st.integers(0, 10**4), st.sampled_from([*UNITS]), st.sampled_from(["", " ", "  "]), st.sampled_from(["", "B", "b"])
)
def test_size_knows_every_unit(count, unit, space, letter):
    for written in (
        f"{count}{space}{unit}{letter}",
        f" {count}{space}{unit.upper()}{letter} ",
        f"{count}{unit.lower()}",
    ):
        assert byte_size().parse(written) == count * UNITS[unit]


@given(st.integers(0, 2**53))
def test_size_in_bytes_is_what_it_says(count):
    assert byte_size().parse(count) == byte_size().parse(str(count)) == byte_size().parse(f"{count}B") == count
    assert type(byte_size().parse(str(count))) is int
    assert byte_size().parse(format_value(byte_size().parse(count))) == count


@given(st.integers(0, 9999), st.sampled_from(["k", "M", "G", "T"]))
@example(323, "k")
def test_size_with_a_point_is_exact(tenths, unit):
    assert byte_size().parse(f"{tenths / 10}{unit}B") == tenths * UNITS[unit] // 10


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1MB", 1_000_000),
        ("1MiB", 1_048_576),
        ("20 GB", 20_000_000_000),
        ("1.5 GiB", 1_610_612_736),
        ("0", 0),
        ("0GB", 0),
        ("2t", 2_000_000_000_000),
        ("5b", 5),
        (7.0, 7),
    ],
)
def test_size(value, expected):
    assert byte_size().parse(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        *("abc", "", None, True, False, -1, "-1GB", math.nan, math.inf, [1]),
        *("1XB", "GB", "1iB", "1,5GB", "1.GB", ".5GB", "1 000", "1e9", "1GBB", "1KMB"),
    ],
)
def test_size_refuses(value):
    with pytest.raises(REFUSED):
        byte_size().parse(value)


def test_optional():
    kind = optional(int_range(1), "all")
    assert kind.parse(None) is None
    assert kind.parse("all") is None
    assert kind.parse("") is None
    assert kind.parse("3") == 3
    with pytest.raises(ValueError):
        kind.parse("none")


def test_either_takes_the_first_that_accepts():
    kind = union(int_range(1), float_range(0, 1, min_open=True, max_open=True), choice("all"))
    assert kind.parse("3") == 3
    assert kind.parse("0.25") == 0.25
    assert kind.parse("all") == "all"
    with pytest.raises(ValueError):
        kind.parse("some")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (float_range(), "a number"),
        (float_range(0), "a number of at least 0"),
        (float_range(0, min_open=True), "a number above 0"),
        (float_range(0, 1, max_open=True), "a number in [0, 1)"),
        (int_range(1), "a whole number of at least 1"),
        (int_range(8, 1024), "a whole number in [8, 1024]"),
        (boolean(), "true or false"),
        (choice("avg", "max"), "one of avg, max"),
        (byte_size(), "a size such as 20GB"),
        (text("a folder"), "a folder"),
        (text_list("names"), "names"),
        (optional(int_range(2), "all"), "a whole number of at least 2, or all"),
        (union(int_range(1), text("all")), "a whole number of at least 1 or all"),
    ],
)
def test_a_kind_says_what_it_expects(kind, expected):
    assert kind.expected == expected


def test_setting_declares_a_field_with_its_kind_and_help():
    kind = int_range(0)

    @dataclasses.dataclass
    class Section:
        size: int = setting(3, kind, "How large.")

    (field,) = dataclasses.fields(Section)
    assert Section().size == 3
    assert field.metadata == {"value_type": kind, "help": "How large."}


@given(st.lists(st.integers(1, 10**6), min_size=1))
def test_integers_come_as_a_list_or_as_text(values):
    assert int_list().parse(values) == int_list().parse(",".join(map(str, values))) == tuple(values)


@pytest.mark.parametrize("value", ["", "0", "1,,2", "1.5", "a", [], [0], [True], None, 3, {1: 2}])
def test_integers_refuses(value):
    with pytest.raises(REFUSED):
        int_list().parse(value)


@given(st.lists(st.floats(0, 1e6), min_size=2))
def test_numbers_come_as_a_list_or_as_text(values):
    assert float_list().parse(values) == float_list().parse(",".join(map(repr, values))) == tuple(values)


@pytest.mark.parametrize("value", ["1", "", "1,-1", "1,nan", [1], None, 3])
def test_numbers_refuses(value):
    with pytest.raises(REFUSED):
        float_list().parse(value)


def test_references_name_a_module_and_what_is_in_it():
    assert import_paths("x").parse("a.b:C, d:e_1") == ("a.b:C", "d:e_1")
    for value in ("a", "a:", ":b", "a b:c", "1a:b", "", None):
        with pytest.raises(REFUSED):
            import_paths("x").parse(value)
