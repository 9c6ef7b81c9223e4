"""Describe what a store holds of a run or model in a form in which two stores can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

Content = Mapping[str, Mapping[str, Any]]
"""Values by kind, such as `parameter` or `tag`, and name."""

_MAX_VALUE_LENGTH = 80  # of a value in a message


def hash_content(content: Content) -> str:
    """Return a hash that changes with every value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


def contains(actual: Content, expected: Content) -> bool:
    """Return whether a content has at least all values of another."""
    return all(
        name in actual.get(kind, {}) and actual[kind][name] == value
        for kind, values in expected.items()
        for name, value in values.items()
    )


def list_differences(expected: Content, actual: Content) -> list[str]:
    """Return a line for each value of the source that the target lacks or has differently, or has beyond the source."""
    lines = []
    for kind in sorted(expected.keys() | actual.keys()):
        source, target = expected.get(kind, {}), actual.get(kind, {})
        for name in sorted(source.keys() | target.keys(), key=str):
            if name not in target:
                lines.append(f"{kind} {name} is not in the target")
            elif name not in source:
                lines.append(f"{kind} {name} is only in the target")
            elif source[name] != target[name]:
                lines.append(f"{kind} {name} is {_shorten(target[name])} in the target, not {_shorten(source[name])}")
    return lines


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}…"
