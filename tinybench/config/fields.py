"""The kinds of value a setting can take: each parses what a person wrote and says what it expected."""

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
class Kind:
    """A kind of value.

    Attributes:
        expected: How the kind is named in an error, as in "expected a number in [0, 1)".
        parse: Turns text or a Python value into the value; raises ValueError when it cannot.
        absent: The word for no value, where there may be none.
    """

    expected: str
    parse: Callable[[Any], Any]
    absent: str = "none"


def setting(default: Any, kind: Kind, help: str) -> Any:
    """Declare a field of a configuration dataclass with its kind and its line of help."""
    return dataclasses.field(default=default, metadata={"kind": kind, "help": help})


def as_text(value: Any, absent: str = "none") -> str:
    """A value as a person would write it; `absent` where there is none."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or absent
    return absent if value is None else str(value)


def number(low: float = -math.inf, high: float = math.inf, *, ends: str = "[]") -> Kind:
    """A finite float between two bounds; `ends` says which of them belong to it."""

    def parse(value: Any) -> float:
        result = float(_not_bool(value))
        above = result >= low if ends[0] == "[" else result > low
        below = result <= high if ends[1] == "]" else result < high
        if not (math.isfinite(result) and above and below):
            raise ValueError(value)
        return result

    return Kind(_bounded("a number", low, high, ends), parse)


def share() -> Kind:
    """A share above 0 and up to 1, which is all; written with a point, since 1 is a count."""

    def parse(value: Any) -> float:
        if isinstance(value, int) or (isinstance(value, str) and value.strip().isdigit()):
            raise ValueError(value)
        return float(number(0, 1, ends="(]").parse(value))

    return Kind("a share in (0, 1.0]", parse)


def integer(low: int, high: float = math.inf) -> Kind:
    """A whole number of at least `low` and at most `high`."""

    def parse(value: Any) -> int:
        result = int(_not_bool(value)) if isinstance(value, (int, str)) else int(_whole(value))
        if not low <= result <= high:
            raise ValueError(value)
        return result

    return Kind(_bounded("a whole number", low, high, "[]"), parse)


def integers(low: int = 1) -> Kind:
    """Whole numbers of at least `low`, as a list or separated by commas."""
    one = integer(low)

    def parse(value: Any) -> tuple[int, ...]:
        result = tuple(map(one.parse, value.split(",") if isinstance(value, str) else _items(value)))
        if not result:
            raise ValueError(value)
        return result

    return Kind(f"whole numbers of at least {low} separated by commas", parse)


def numbers() -> Kind:
    """Numbers from 0 up, as a list or separated by commas."""
    one = number(0)

    def parse(value: Any) -> tuple[float, ...]:
        result = tuple(map(one.parse, value.split(",") if isinstance(value, str) else _items(value)))
        if len(result) < 2:
            raise ValueError(value)
        return result

    return Kind("at least two numbers from 0 up, separated by commas", parse)


def boolean() -> Kind:
    """True or false, in the spellings people use."""
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

    def parse(value: Any) -> bool:
        return words[str(value).strip().lower()]

    return Kind("true or false", parse)


def text(expected: str = "some text") -> Kind:
    """Any text that is not empty."""

    def parse(value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | os.PathLike) or not str(value).strip():
            raise ValueError(value)
        return str(value).strip()

    return Kind(expected, parse)


def name(expected: str) -> Kind:
    """A name that begins with a letter, such as a layer's."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]\w*", value) or value in ("nan", "inf"):
            raise ValueError(value)
        return value

    return Kind(expected, parse)


def choice(*allowed: str) -> Kind:
    """One of the given words."""

    def parse(value: Any) -> str:
        if value not in allowed:
            raise ValueError(value)
        return str(value)

    return Kind("one of " + ", ".join(allowed) if len(allowed) > 1 else allowed[0], parse)


def words(expected: str, allowed: tuple[str, ...] = ()) -> Kind:
    """Several words, as a list or separated by commas."""

    def parse(value: Any) -> tuple[str, ...]:
        parts = value.split(",") if isinstance(value, str) else list(value)
        result = tuple(str(part).strip() for part in parts)
        if not all(result) or (allowed and not set(result) <= set(allowed)):
            raise ValueError(value)
        return result

    return Kind(expected, parse)


def pairs(expected: str) -> Kind:
    """Names with values, as name=value; a name may hold what MLflow allows in one."""

    def parse(value: Any) -> tuple[str, ...]:
        result: tuple[str, ...] = words(expected).parse(value)
        if not all(re.fullmatch(r"[\w./ :-]+=.*", pair) for pair in result):
            raise ValueError(value)
        return result

    return Kind(expected, parse)


def references(expected: str) -> Kind:
    """Places in Python modules, as module:name."""

    def parse(value: Any) -> tuple[str, ...]:
        result: tuple[str, ...] = words(expected).parse(value)
        if not all(re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", reference) for reference in result):
            raise ValueError(value)
        return result

    return Kind(expected, parse)


def size() -> Kind:
    """Bytes: a whole number, or one with a unit, as in 20GB or 1.5 GiB."""
    units = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

    def parse(value: Any) -> int:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(_not_bool(value)).strip().lower())
        if not found or (found[3] and not found[2]):
            raise ValueError(value)
        return int(Decimal(found[1]) * (1024 if found[3] else 1000) ** units[found[2]])

    return Kind("a size such as 20GB", parse)


def optional(kind: Kind, absent: str = "none") -> Kind:
    """A value of another kind, or nothing at all, written as `absent`."""

    def parse(value: Any) -> Any:
        return None if value is None or value in ("", absent) else kind.parse(value)

    return Kind(f"{kind.expected}, or {absent}", parse, absent)


def either(*kinds: Kind) -> Kind:
    """A value of the first kind that accepts it."""

    def parse(value: Any) -> Any:
        for kind in kinds:
            try:
                return kind.parse(value)
            except (ValueError, TypeError, KeyError):
                continue
        raise ValueError(value)

    return Kind(" or ".join(kind.expected for kind in kinds), parse)


def _items(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    return list(value)


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(value)
    return value


def _whole(value: Any) -> float:
    if float(value) != math.floor(float(value)):
        raise ValueError(value)
    return float(value)


def _bounded(what: str, low: float, high: float, ends: str) -> str:
    if math.isinf(high):
        if math.isinf(low):
            return what
        return f"{what} of at least {low:g}" if ends[0] == "[" else f"{what} above {low:g}"
    return f"{what} in {ends[0]}{low:.10g}, {high:.10g}{ends[1]}"
