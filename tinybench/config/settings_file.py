"""Read settings from a TOML file, such as the best settings of a sweep. Standard library only."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinybench.config.run_config import canonical_key, parse_value
from tinybench.core import text_file
from tinybench.core.errors import ConfigError


def read(file: Path) -> dict[str, Any]:
    """Return the settings of a file by dotted key; `head.dropout` may also be written as `dropout` in a table `head`.

    Raises:
        ConfigError: The file cannot be read or is not TOML, or it has an unknown key or a value that is not allowed.
    """
    try:
        text = text_file.read(file)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"Cannot read {file}: {text_file.describe_error(error)}") from error
    return parse(text, str(file))


def parse(text: str, name: str) -> dict[str, Any]:
    """Return the settings of a TOML text by dotted key; see `read`.

    Args:
        text: The text.
        name: Where it is from, for error messages.

    Raises:
        ConfigError: The text is not TOML, or it has an unknown key or a value that is not allowed.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}.") from error
    settings: dict[str, Any] = {}
    try:
        for spelling, value in _flatten(values):
            key = canonical_key(spelling)
            if key in settings:
                raise ConfigError(f"`{key}` is given twice.")
            parse_value(key, value)
            settings[key] = value
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    return settings


def _flatten(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
