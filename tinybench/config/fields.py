"""Types of the values of settings: each one converts what a user wrote, or says what it expected."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class ValueType:
    """The type of a setting's value.

    Attributes:
        expected: A noun phrase for error messages, as in "expected a number in [0, 1)".
        parse: Converts text or a Python value; raises ValueError, TypeError, KeyError or OverflowError if it cannot.
        none_text: The text that stands for None, if None is allowed.
        choices: The texts to choose from, if they can be listed.
    """

    expected: str
    parse: Callable[[Any], Any]
    none_text: str = "none"
    choices: tuple[str, ...] = ()


def setting(default: Any, value_type: ValueType, help: str) -> Any:
    """Declare a field of a configuration dataclass.

    Args:
        default: The value of `RunConfig()`; recipes change it.
        value_type: The values that are allowed.
        help: One line for `--help`.
    """
    return dataclasses.field(default=default, metadata={"value_type": value_type, "help": help})


def format_value(value: Any, none_text: str = "none") -> str:
    """Return a value as a user would write it; `none_text` for None or an empty list."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or none_text
    return none_text if value is None else str(value)


def float_range(
    min: float = -math.inf, max: float = math.inf, *, min_open: bool = False, max_open: bool = False
) -> ValueType:
    """Return the type of finite floats between two bounds.

    Args:
        min: The lower bound.
        max: The upper bound.
        min_open: Exclude the lower bound.
        max_open: Exclude the upper bound.
    """

    def parse(value: Any) -> float:
        result = float(_reject_bool(value))
        above = result > min if min_open else result >= min
        below = result < max if max_open else result <= max
        if not (math.isfinite(result) and above and below):
            raise ValueError(value)
        return result

    return ValueType(_describe_range("a number", min, max, min_open=min_open, max_open=max_open), parse)


def fraction() -> ValueType:
    """Return the type of fractions in (0, 1]; 1 is written as 1.0, since a whole number means a count."""
    unit_range = float_range(0, 1, min_open=True)

    def parse(value: Any) -> float:
        if isinstance(value, int) or (isinstance(value, str) and value.strip().isdigit()):
            raise ValueError(value)
        return float(unit_range.parse(value))

    return ValueType("a share in (0, 1.0]", parse)


def int_range(min: int, max: float = math.inf) -> ValueType:
    """Return the type of whole numbers from `min` to `max`, both included; 2.0 is accepted as 2, but not as text."""

    def parse(value: Any) -> int:
        if isinstance(value, (int, str)):
            result = int(_reject_bool(value))
        elif float(value) == math.floor(float(value)):
            result = int(float(value))
        else:
            raise ValueError(value)
        if not min <= result <= max:
            raise ValueError(value)
        return result

    return ValueType(_describe_range("a whole number", min, max), parse)


def int_list(min: int = 1) -> ValueType:
    """Return the type of one or more whole numbers of at least `min`, as a list or separated by commas."""
    item_type = int_range(min)

    def parse(value: Any) -> tuple[int, ...]:
        result = tuple(map(item_type.parse, _split(value)))
        if not result:
            raise ValueError(value)
        return result

    return ValueType(f"whole numbers of at least {min} separated by commas", parse)


def float_list() -> ValueType:
    """Return the type of two or more numbers of at least 0, as a list or separated by commas."""
    item_type = float_range(0)

    def parse(value: Any) -> tuple[float, ...]:
        result = tuple(map(item_type.parse, _split(value)))
        if len(result) < 2:
            raise ValueError(value)
        return result

    return ValueType("at least two numbers from 0 up, separated by commas", parse)


def boolean() -> ValueType:
    """Return the type of true and false, which may also be written as yes, on or 1, and as no, off or 0."""
    values = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

    def parse(value: Any) -> bool:
        return values[str(value).strip().lower()]

    return ValueType("true or false", parse)


def text(expected: str = "some text") -> ValueType:
    """Return the type of texts that are not empty; a path or a whole number is accepted as text."""

    def parse(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | os.PathLike) or not str(value).strip():
            raise ValueError(value)
        return str(value).strip()

    return ValueType(expected, parse)


def identifier(expected: str) -> ValueType:
    """Return the type of names that begin with a letter, such as the name of a layer."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]\w*", value) or value in ("nan", "inf"):
            raise ValueError(value)
        return value

    return ValueType(expected, parse)


def choice(*choices: str) -> ValueType:
    """Return the type of one of some texts."""

    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(value)
        return str(value)

    expected = "one of " + ", ".join(choices) if len(choices) > 1 else choices[0]
    return ValueType(expected, parse, choices=choices)


def text_list(expected: str, choices: tuple[str, ...] = ()) -> ValueType:
    """Return the type of texts, as a list or separated by commas; if there are `choices`, each must be one of them."""

    def parse(value: Any) -> tuple[str, ...]:
        items = value.split(",") if isinstance(value, str) else list(value)
        result = tuple(str(item).strip() for item in items)
        if not all(result) or (choices and not set(result) <= set(choices)):
            raise ValueError(value)
        return result

    return ValueType(expected, parse)


def name_value_pairs(expected: str) -> ValueType:
    """Return the type of texts of the form name=value; the names may contain what MLflow allows in a tag name."""
    return _matching_list(r"[\w./ :-]+=.*", expected)


def import_paths(expected: str) -> ValueType:
    """Return the type of texts of the form module:name."""
    return _matching_list(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", expected)


def byte_size() -> ValueType:
    """Return the type of sizes in bytes: a whole number, or a number with a unit, as in 20GB or 1.5 GiB."""
    exponents = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

    def parse(value: Any) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(_reject_bool(value)).strip().lower())
        if not match or (match[3] and not match[2]):
            raise ValueError(value)
        return int(Decimal(match[1]) * (1024 if match[3] else 1000) ** exponents[match[2]])

    return ValueType("a size such as 20GB", parse)


def optional(value_type: ValueType, none_text: str = "none") -> ValueType:
    """Return the type that also allows None, which is written as `none_text`."""

    def parse(value: Any) -> Any:
        return None if value is None or value in ("", none_text) else value_type.parse(value)

    return ValueType(f"{value_type.expected}, or {none_text}", parse, none_text, value_type.choices)


def union(*value_types: ValueType) -> ValueType:
    """Return the type that allows the values of several types; the first type that accepts a value converts it."""

    def parse(value: Any) -> Any:
        for value_type in value_types:
            try:
                return value_type.parse(value)
            except (ValueError, TypeError, KeyError):
                continue
        raise ValueError(value)

    return ValueType(" or ".join(value_type.expected for value_type in value_types), parse)


def _matching_list(pattern: str, expected: str) -> ValueType:
    """Return the type of lists of texts that each match a regular expression."""
    texts = text_list(expected)

    def parse(value: Any) -> tuple[str, ...]:
        result: tuple[str, ...] = texts.parse(value)
        if not all(re.fullmatch(pattern, item) for item in result):
            raise ValueError(value)
        return result

    return ValueType(expected, parse)


def _split(value: Any) -> list[Any]:
    """Return the items of a list, or of a text with commas."""
    if isinstance(value, str):
        return value.split(",")
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    return list(value)


def _reject_bool(value: Any) -> Any:
    """Return the value; raise ValueError for True and False, which Python would take as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(value)
    return value


def _describe_range(noun: str, min: float, max: float, *, min_open: bool = False, max_open: bool = False) -> str:
    if math.isinf(max):
        if math.isinf(min):
            return noun
        return f"{noun} above {min:g}" if min_open else f"{noun} of at least {min:g}"
    return f"{noun} in {'(' if min_open else '['}{min:.10g}, {max:.10g}{')' if max_open else ']'}"
