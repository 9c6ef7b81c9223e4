"""Find the lines of a TOML text on which keys are set, for error messages. Standard library only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

KeyPath = tuple[str, ...]

_HEADER = re.compile(r"^\s*\[")


def find_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, counted from 1, of every key and table of a valid TOML text.

    In an array of tables, the keys of a table come after its index, as in `("first", "0", "head.dropout")`.
    The TOML parser itself reads the statements one by one, so that all of its syntax is supported.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    last_index: dict[KeyPath, int] = {}
    for number, statement in _iterate_statements(text):
        values = tomllib.loads(statement)
        if _HEADER.match(statement):
            table = _header_path(values)
            if statement.lstrip().startswith("[["):
                last_index[table] = last_index.get(table, -1) + 1
                table = (*table, str(last_index[table]))
            lines.setdefault(table, number)
        else:
            for path in _iterate_paths(values):
                lines.setdefault((*table, *path), number)
    return lines


def iterate_leaves(name: str, value: Any, *, in_space: bool) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the path and the value of each leaf of nested tables.

    Args:
        name: The key of the value, the first of each path.
        value: A value or a table.
        in_space: A table that describes a distribution is a leaf, as in a search space.
    """
    if isinstance(value, dict) and not (in_space and ({"distribution", "low", "choices"} & {*value})):
        for inner_name, inner_value in value.items():
            for path, leaf in iterate_leaves(inner_name, inner_value, in_space=in_space):
                yield (name, *path), leaf
    else:
        yield (name,), value


def _iterate_statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each header and each assignment with its first line; a value may continue over several lines."""
    first_line, statement = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        first_line = first_line if statement else number
        statement += line + "\n"
        try:
            if tomllib.loads(statement):
                yield first_line, statement
        except tomllib.TOMLDecodeError:
            continue  # the statement continues on the next line
        statement = ""


def _header_path(values: dict[str, Any]) -> KeyPath:
    """Return the path of the only table in a parsed header."""
    path: KeyPath = ()
    inner: Any = values
    while inner:
        inner = inner[0] if isinstance(inner, list) else inner
        name, inner = next(iter(inner.items()), (None, None))
        path = path if name is None else (*path, name)
    return path


def _iterate_paths(table: dict[str, Any], prefix: KeyPath = ()) -> Iterator[KeyPath]:
    for name, value in table.items():
        path = (*prefix, name)
        yield path
        if isinstance(value, dict):
            yield from _iterate_paths(value, path)
