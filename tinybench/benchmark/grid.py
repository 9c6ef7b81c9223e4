"""The grid of a benchmark: which models, data sets, recipes and seeds, and the configuration of each cell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from tinybench.config import run_config as configuration
from tinybench.config.dataset_name import FOLDER_PREFIX
from tinybench.config.effects import find_ineffective
from tinybench.config.run_config import RunConfig
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import override, resolve

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")
MOST_SEEDS = 1000
"""Seeds of a grid: more are a mistake."""
_MAX_NAME = 60  # of a name that is made of those of models and data sets


@dataclass(frozen=True)
class CellSpec:
    """The specification of a cell.

    Attributes:
        config: The configuration of its run.
        is_probe: Whether its backbone is probed; otherwise a run is trained.
        is_extra: Whether it is beyond the seeds of the specification, to settle a pair of models.
    """

    config: RunConfig
    is_probe: bool = False
    is_extra: bool = False


@dataclass(frozen=True)
class Grid:
    """The grid of a benchmark.

    Attributes:
        name: The name of the benchmark.
        models: Models, by name or as files.
        datasets: Data sets.
        recipes: Recipes; None stands for no recipe, as in `tinybench train`.
        seeds: Seeds.
        settings: Values by dotted key for all cells.
        model_settings: Values by dotted key for the cells of one model, by the model.
        halving: Whether only the better half of the models goes on after each rung.
    """

    name: str
    models: tuple[str, ...]
    datasets: tuple[str, ...]
    recipes: tuple[str | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    model_settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    halving: bool = False

    def build_cells(self) -> list[RunConfig]:
        """Return the configuration of each cell; all models come before the next seed, so that they can be compared.

        A setting that cannot have an effect in a cell is left out there.

        Raises:
            ConfigError: A setting is not allowed, or has no effect in any cell.
        """
        for key, reason in self.find_ineffective().items():
            raise ConfigError(f"`{key}` would have no effect in any cell: {reason}. Leave it out.")
        cells = []
        for seed, dataset, recipe, model in self._combinations():
            base, settings = self._base(seed, dataset, recipe, model), self._settings_of(model)
            ineffective = {item.key for item in find_ineffective(configuration.replace(base, settings))}
            cells.append(override(base, {key: settings[key] for key in settings if key not in ineffective}))
        return cells

    def find_ineffective(self) -> dict[str, str]:
        """Return the settings that have no effect in any cell, with the reason.

        Raises:
            ConfigError: A setting is not allowed.
        """
        reason_of_key: dict[str, str] = {}
        effective: set[str] = set()
        for _, dataset, recipe, model in self._combinations(self.seeds[:1]):
            base, settings = self._base(self.seeds[0], dataset, recipe, model), self._settings_of(model)
            ineffective = {item.key: item.reason for item in find_ineffective(configuration.replace(base, settings))}
            reason_of_key |= {key: reason for key, reason in ineffective.items() if key in settings}
            effective |= settings.keys() - ineffective.keys()
        return {key: reason for key, reason in reason_of_key.items() if key not in effective}

    def _combinations(self, seeds: tuple[int, ...] | None = None) -> Iterator[tuple[int, str, str | None, str]]:
        return itertools.product(seeds or self.seeds, self.datasets, self.recipes, self.models)

    def _base(self, seed: int, dataset: str, recipe: str | None, model: str) -> RunConfig:
        """Return the configuration of a cell before its settings are applied, but with its phases."""
        settings = self._settings_of(model)
        first = {key: settings[key] for key in ("phases", "weights") if key in settings}
        return resolve(recipe, {"model": model, "dataset": dataset, "seed": seed} | first)

    def _settings_of(self, model: str) -> dict[str, Any]:
        return configuration.canonical_overrides({**self.settings, **self.model_settings.get(model, {})})


def check_name(name: str, option: str = "--name") -> str:
    """Return the name of a benchmark, which is also that of a folder; the option is named in the error.

    Raises:
        ConfigError: It has other characters than a folder's name should have, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"Invalid value for `{option}`: expected letters, digits and . _ + -, beginning with a letter or digit, "
            f"at most 100 of them, got {name!r}."
        )
    return name


def make_name(models: tuple[str, ...], datasets: tuple[str, ...]) -> str:
    """Return a name for a benchmark of these models and data sets."""
    names = [PurePath(model).stem if "/" in model or model.endswith((".keras", ".h5")) else model for model in models]
    names += [PurePath(dataset.removeprefix(FOLDER_PREFIX)).name for dataset in datasets]
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", "-".join(names)).strip("-.")[:_MAX_NAME].strip("-.")
    return name or "benchmark"


def describe_cell(config: RunConfig, *, is_probe: bool = False) -> str:
    """Return what a cell is in a line: its phases, model, data set, recipe and seed."""
    from tinybench.data.load_request import short_name

    what = "probe" if is_probe else " and ".join(config.phases)
    return f"{what} of {config.model_name} on {short_name(config.dataset)} ({config.recipe}, seed {config.seed})"
