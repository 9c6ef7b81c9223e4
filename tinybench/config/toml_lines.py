"""On which line of a TOML file a key is set, so that a mistake can be pointed at. Standard library only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[")


def lines(text: str) -> dict[Path, int]:
    """The line, from 1, of every key and table of a TOML text that can be parsed.

    Of an array of tables, each table's keys come after its number, as in `("first", "0", "head.dropout")`.
    Statements are read one by one by the parser itself, so that whatever it allows is understood.
    """
    found: dict[Path, int] = {}
    table: Path = ()
    arrays: dict[Path, int] = {}
    for number, statement in _statements(text):
        values = tomllib.loads(statement)
        if _HEADER.match(statement):
            table = _named(values)
            if statement.lstrip().startswith("[["):
                arrays[table] = arrays.get(table, -1) + 1
                table = (*table, str(arrays[table]))
            found.setdefault(table, number)
        else:
            for path in _paths(values):
                found.setdefault((*table, *path), number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Headers and assignments with the line where each begins; a value may go over several lines."""
    begun, held = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun if held else number
        held += line + "\n"
        try:
            if tomllib.loads(held):
                yield begun, held
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        held = ""


def _named(values: dict[str, Any]) -> Path:
    """The one path of a header."""
    path: Path = ()
    inside: Any = values
    while inside:
        inside = inside[0] if isinstance(inside, list) else inside
        name, inside = next(iter(inside.items()), (None, None))
        path = path if name is None else (*path, name)
    return path


def _paths(values: Any, before: Path = ()) -> Iterator[Path]:
    for name, value in values.items():
        path = (*before, name)
        yield path
        if isinstance(value, dict):
            yield from _paths(value, path)


def leaves(name: str, value: Any, *, searched: bool) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Leaves of nested tables, with the words of their keys; a distribution is a leaf."""
    if isinstance(value, dict) and not (searched and ({"distribution", "low", "choices"} & {*value})):
        for inner, below in value.items():
            for words, leaf in leaves(inner, below, searched=searched):
                yield (name, *words), leaf
    else:
        yield (name,), value
