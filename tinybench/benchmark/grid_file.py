"""Read the grid of a benchmark from a TOML file; a mistake is reported with its line, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tinybench import recipes
from tinybench.benchmark.grid import MOST_SEEDS, Grid, check_name
from tinybench.config.run_config import canonical_overrides, parse_value
from tinybench.config.toml_lines import KeyPath
from tinybench.config.toml_tables import TomlDocument
from tinybench.core.suggestion import suggest

_TABLES = ("benchmark", "settings", "models")
_KEYS = ("name", "models", "datasets", "recipes", "seeds", "workers", "halving")
_AXES = {"model": "models", "dataset": "datasets", "recipe": "recipes", "seed": "seeds"}


def read(
    text: str,
    name: str,
    overrides: Mapping[str, Any] | None = None,
    file_name: str | None = None,
    *,
    axes: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[Grid, int | None]:
    """Read a grid from the text of its file.

    Args:
        text: TOML.
        name: Name of the benchmark, unless the file has one.
        overrides: Values by dotted key for all cells that replace those of the file.
        file_name: Name of the file in error messages; `name` when None.
        axes: `models`, `datasets`, `recipes` and `seeds` that replace those of the file.

    Returns:
        The grid, and the number of cells at a time; None if the file does not say.

    Raises:
        ConfigError: A mistake, with its line.
    """
    return _GridFile(text, file_name or name).read_grid(name, overrides or {}, axes or {})


class _GridFile(TomlDocument):
    """The file of a benchmark."""

    def read_grid(
        self, name: str, overrides: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]
    ) -> tuple[Grid, int | None]:
        self._refuse_unknown((), self.values, _TABLES)
        table = self.values.get("benchmark", {})
        if not isinstance(table, dict):
            self.fail(("benchmark",), f"expected a table [benchmark], got {table!r}.")
        self._refuse_unknown(("benchmark",), table, _KEYS)
        models = tuple(axes.get("models") or self._read_texts(table, "models", required=True))
        datasets = tuple(axes.get("datasets") or self._read_texts(table, "datasets", required=True))
        chosen_recipes = tuple(axes.get("recipes") or self._read_recipes(table))
        grid = Grid(
            self._read_name(table, name),
            models,
            datasets,
            chosen_recipes or (None,),
            tuple(axes.get("seeds") or self._read_seeds(table)),
            {**self._read_settings(("settings",), self.values.get("settings", {})), **canonical_overrides(overrides)},
            self._read_model_settings(models),
            self._read_halving(table),
        )
        self._check_settings(grid)
        return grid, self._read_workers(table)

    def _check_settings(self, grid: Grid) -> None:
        """Raise for settings that have no effect, or contradict each other or what a model is."""
        for model in grid.models:
            with self.errors_at(("models", model) if model in grid.model_settings else ("settings",), f"{model}: "):
                replace(grid, models=(model,)).find_ineffective()
        for key, reason in grid.find_ineffective().items():
            tables = [("settings",), *(("models", model) for model in grid.model_settings)]
            paths = [path for table_path in tables for name, path in self._paths(table_path).items() if name == key]
            if paths:
                self.fail(paths[0], f"`{key}` would have no effect in any cell: {reason}. Leave it out.")

    def _paths(self, table_path: KeyPath) -> dict[str, KeyPath]:
        """Return the paths of the settings of a table by dotted key."""
        table: Any = self.values
        for name in table_path:
            table = table.get(name, {})
        return {key: path for key, (_, path) in self.read_table(table_path, table).items()}

    def _refuse_unknown(self, path: KeyPath, table: Mapping[str, Any], expected: Sequence[str]) -> None:
        for key in table:
            if key not in expected:
                self.fail(
                    (*path, key), f"unknown key `{key}`: expected one of {', '.join(expected)}.{suggest(key, expected)}"
                )

    def _read_name(self, table: Mapping[str, Any], default: str) -> str:
        name = table.get("name", default)
        if not isinstance(name, str):
            self.fail(("benchmark", "name"), f"`name`: expected text, got {name!r}.")
        with self.errors_at(("benchmark", "name")):
            return check_name(name)

    def _read_texts(self, table: Mapping[str, Any], key: str, *, required: bool = False) -> list[str]:
        """Return the texts of a key, which may hold one text or a list of them."""
        path = ("benchmark", key)
        value = table.get(key, [])
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
            self.fail(path, f"`{key}`: expected text or a list of texts, got {value!r}.")
        if required and not texts:
            self.fail(path, f"`{key}` is missing in [benchmark]: expected a list.")
        for text in texts:
            if texts.count(text) > 1:
                self.fail(path, f"`{key}` has {text!r} twice.")
        return texts

    def _read_recipes(self, table: Mapping[str, Any]) -> list[str]:
        names = self._read_texts(table, "recipes")
        for name in names:
            with self.errors_at(("benchmark", "recipes")):
                recipes.build(name)
        return names

    def _read_seeds(self, table: Mapping[str, Any]) -> tuple[int, ...]:
        value = table.get("seeds", 1)
        if isinstance(value, int) and value > MOST_SEEDS:
            self.fail(("benchmark", "seeds"), f"`seeds`: expected at most {MOST_SEEDS:,} seeds, got {value:,}.")
        seeds = list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(seeds, list) or not seeds or len({*map(repr, seeds)}) < len(seeds):
            self.fail(("benchmark", "seeds"), f"`seeds`: expected 3 or [0, 1, 7] for example, got {value!r}.")
        with self.errors_at(("benchmark", "seeds")):
            return tuple(parse_value("seed", seed) for seed in seeds)

    def _read_workers(self, table: Mapping[str, Any]) -> int | None:
        value = table.get("workers")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self.fail(("benchmark", "workers"), f"`workers`: expected a whole number of at least 1, got {value!r}.")
        return value

    def _read_halving(self, table: Mapping[str, Any]) -> bool:
        value = table.get("halving", False)
        if not isinstance(value, bool):
            self.fail(("benchmark", "halving"), f"`halving`: expected true or false, got {value!r}.")
        return value

    def _read_settings(self, path: KeyPath, table: Any) -> dict[str, Any]:
        settings = {}
        for key, (value, key_path) in self.read_table(path, table).items():
            if key in _AXES:
                self.fail(key_path, f"`{key}` is no setting of all cells: give `{_AXES[key]}` in [benchmark].")
            if key in ("track.uri", "track.run_name"):
                self.fail(key_path, f"`{key}` is no setting of cells: give it on the command line, as --{key}.")
            with self.errors_at(key_path):
                parse_value(key, value)
            settings[key] = value
        return settings

    def _read_model_settings(self, models: Sequence[str]) -> dict[str, dict[str, Any]]:
        tables = self.values.get("models", {})
        if not isinstance(tables, dict):
            self.fail(("models",), f"expected tables [models.NAME] of settings, got {tables!r}.")
        for model in tables:
            if model not in models:
                self.fail(
                    ("models", model), f"{model!r} is none of the models of this benchmark.{suggest(model, models)}"
                )
        return {model: self._read_settings(("models", model), table) for model, table in tables.items()}
