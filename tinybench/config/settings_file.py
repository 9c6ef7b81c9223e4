"""Settings from a TOML file, such as the best of a sweep. Standard library only."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tinybench.config.run_config import canonical, check
from tinybench.core.errors import ConfigError


def read(file: Path) -> dict[str, Any]:
    """Settings by dotted key; one with dots may be written as tables in tables.

    Raises:
        ConfigError: no such file, no TOML, an unknown key or a value that is not allowed.
    """
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read {file}: {error.strerror or error}. Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}.") from error
    found: dict[str, Any] = {}
    try:
        for name, value in _flat(values):
            key = canonical(name)
            if key in found:
                raise ConfigError(f"`{key}` is given twice.")
            check(key, value)
            found[key] = value
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    return found


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(before + name, value)]
    return found
