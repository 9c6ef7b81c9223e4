"""Settings from a TOML text whose mistakes are told with their line. Standard library only."""

from __future__ import annotations

import tomllib
from typing import Any, NoReturn

from tinybench.config import toml_lines
from tinybench.config.run_config import canonical
from tinybench.core.errors import ConfigError, TinybenchError


class Tables:
    """A TOML text.

    Attributes:
        values: As the parser gives them.
    """

    def __init__(self, text: str, shown_as: str) -> None:
        """Args: the text, and how its file is called in messages.

        Raises:
            ConfigError: it is not TOML.
        """
        self.shown_as = shown_as
        try:
            self.values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{shown_as}: not valid TOML: {error}.") from error
        self._lines = toml_lines.lines(text)

    def table(
        self, path: toml_lines.Path, table: Any, *, leaves: bool = False
    ) -> dict[str, tuple[Any, toml_lines.Path]]:
        """Settings by key, with their places; a key with dots may be written as tables in tables."""
        if not isinstance(table, dict):
            self.refuse(path, f"expected a table of settings, got {table!r}.")
        found: dict[str, tuple[Any, toml_lines.Path]] = {}
        for name, value in table.items():
            for words, inner in toml_lines.leaves(name, value, searched=path[0] == "space" and not leaves):
                place = (*path, *words)
                with self.at(place):
                    key = canonical(".".join(words))
                if key in found:
                    self.refuse(place, f"`{key}` is given twice.")
                if path == ("space",) and not isinstance(inner, dict):
                    self.refuse(place, f"`{key}`: expected a table with a distribution, got {inner!r}.")
                found[key] = inner, place
        return found

    def at(self, path: toml_lines.Path, words: str = "") -> Pointing:
        """A context: what is raised inside is told with the line of a key, and some words before it."""
        return Pointing(self, path, words)

    def refuse(self, path: toml_lines.Path, words: str) -> NoReturn:
        """Say what is wrong with a key.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.place(path)}: {words}")

    def place(self, path: toml_lines.Path) -> str:
        """The file with the line of a key, or of the nearest table around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return f"{self.shown_as}, line {self._lines[path]}" if path else self.shown_as


class Pointing:
    """Puts the place before what is raised inside."""

    def __init__(self, tables: Tables, path: toml_lines.Path, words: str) -> None:
        self.tables, self.path, self.words = tables, path, words

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, TinybenchError):
            raise ConfigError(f"{self.tables.place(self.path)}: {self.words}{error}") from error
