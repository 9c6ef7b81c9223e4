"""Read settings from a TOML text, with error messages that name the line. Standard library only."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from tinybench.config.run_config import canonical_key
from tinybench.config.toml_lines import KeyPath, find_lines, iterate_leaves
from tinybench.core.errors import ConfigError, TinybenchError


class _LocatedError(ConfigError):
    """An error whose message names the line that it is about."""


class TomlDocument:
    """A parsed TOML text that can name the line of each key.

    Args:
        text: The TOML text.
        file_name: The name of the file in error messages.

    Attributes:
        values: The parsed values.

    Raises:
        ConfigError: The text is not valid TOML.
    """

    def __init__(self, text: str, file_name: str) -> None:
        self.file_name = file_name
        try:
            self.values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{file_name}: not valid TOML: {error}.") from error
        self._lines = find_lines(text)

    def read_table(self, path: KeyPath, table: Any, *, leaves: bool = False) -> dict[str, tuple[Any, KeyPath]]:
        """Return the settings of a table by dotted key, each with its value and its path in the text.

        Args:
            path: The path of the table.
            table: Its parsed value; keys with dots may be written as nested tables.
            leaves: Read values also inside `space`, in place of distributions.

        Raises:
            ConfigError: It is no table, or a key is unknown or given twice.
        """
        if not isinstance(table, dict):
            self.fail(path, f"expected a table of settings, got {table!r}.")
        settings: dict[str, tuple[Any, KeyPath]] = {}
        for name, value in table.items():
            for inner_path, leaf in iterate_leaves(name, value, in_space=path[0] == "space" and not leaves):
                leaf_path = (*path, *inner_path)
                with self.errors_at(leaf_path):
                    key = canonical_key(".".join(inner_path))
                if key in settings:
                    self.fail(leaf_path, f"`{key}` is given twice.")
                if path == ("space",) and not isinstance(leaf, dict):
                    self.fail(leaf_path, f"`{key}`: expected a table with a distribution, got {leaf!r}.")
                settings[key] = leaf, leaf_path
        return settings

    @contextmanager
    def errors_at(self, path: KeyPath, prefix: str = "") -> Iterator[None]:
        """Add the line of a key, and a prefix, to the message of an error that is raised in the block.

        An error that names a line already stays as it is.
        """
        try:
            yield
        except _LocatedError:
            raise
        except TinybenchError as error:
            raise _LocatedError(f"{self.location(path)}: {prefix}{error}") from error

    def fail(self, path: KeyPath, message: str) -> NoReturn:
        """Raise a `ConfigError` that names the line of a key."""
        raise _LocatedError(f"{self.location(path)}: {message}")

    def location(self, path: KeyPath) -> str:
        """Return the file name with the line of a key, or of the nearest table around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.file_name}, line {self._lines[path]}" if path else self.file_name
