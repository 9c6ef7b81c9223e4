"""Read a search space from a TOML file; a mistake is reported with its line, before anything starts.

Every value is checked as a value of its setting. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tinybench.config import run_config as configuration
from tinybench.config import toml_lines
from tinybench.config.fields import format_value
from tinybench.config.run_config import RunConfig, canonical_key, parse_value
from tinybench.config.toml_tables import TomlDocument
from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest
from tinybench.recipes.resolve import override, resolve
from tinybench.sweeps.space import MAXIMIZED, OBJECTIVES, PRUNERS, SAMPLERS, Objective, Parameter, Space
from tinybench.sweeps.space_effects import explain_ineffective

_DIRECTIONS = ("maximize", "minimize")
_RANGES = {"uniform": ("low", "high", "step"), "log-uniform": ("low", "high")}
_RANGES |= {"integer": ("low", "high", "step"), "log-integer": ("low", "high")}
_DISTRIBUTIONS = (*_RANGES, "categorical")
_TOP_KEYS = ("recipe", "objective", "direction", "trials", "minutes", "seeds", "sampler", "pruner")
_TABLES = ("settings", "space", "first")
# Settings that change the images by which trials are compared, or that do not change what a run computes
_NOT_SEARCHABLE = ("recipe", "dataset", "data.", "seed", "monitor", "track.", "cache.", "checkpoint.", "device",
                   "explain.", "backbone.mirror")  # fmt: skip


def read(
    text: str,
    name: str,
    overrides: Mapping[str, Any] | None = None,
    file_name: str | None = None,
    *,
    is_stored: bool = False,
) -> Space:
    """Read a space from the text of its file.

    Args:
        text: TOML.
        name: Name of the space.
        overrides: Settings by key that are fixed at these values, even if the file searches them; also `trials`,
            `minutes` and `seeds`.
        file_name: Name of the file in error messages; `name` when None.
        is_stored: Whether a study has been created with it, perhaps when settings without an effect were allowed.

    Raises:
        ConfigError: A mistake, with its line.
    """
    return _SpaceFile(name, file_name or name, text, dict(overrides or {}), is_stored=is_stored).read_space()


class _SpaceFile(TomlDocument):
    """The file of a space; the arguments are those of `read`."""

    def __init__(self, name: str, file_name: str, text: str, overrides: dict[str, Any], *, is_stored: bool) -> None:
        super().__init__(text, file_name)
        self.name = name
        self.text = text
        self.is_stored = is_stored
        budget: dict[str, Any] = {key: overrides.pop(key, None) for key in ("trials", "minutes", "seeds")}
        self.budget = {key: value for key, value in budget.items() if value is not None}
        self.overrides = {canonical_key(key): value for key, value in overrides.items()}
        self.recipe = self.overrides.pop("recipe", None)  # in place of that of the file
        self.dropped: set[str] = set()  # parameters whose conditions the overrides rule out

    def read_space(self) -> Space:
        known = (*_TOP_KEYS, *_TABLES)
        for key in self.values:
            if key not in known:
                self.fail((key,), f"unknown key `{key}`: expected one of {', '.join(known)}.{suggest(key, known)}")
        base = self._build_base()
        parameters = self._read_parameters(base)
        sampler, pruner = self._read_algorithm("sampler", SAMPLERS), self._read_algorithm("pruner", PRUNERS)
        objectives = self._read_objectives()
        if len(objectives) > 1 and pruner["name"] != "none":
            self.fail(("pruner",), "several objectives cannot be pruned: leave pruner out, or name one objective.")
        if pruner["name"] != "none" and not objectives[0].metric.startswith("val/"):
            self.fail(("pruner",), f"{objectives[0].metric} is not known by epoch: leave pruner out.")
        if len(objectives) > 1 and sampler["name"] == "cmaes":
            self.fail(("sampler",), "cmaes has one objective: take tpe, nsgaii, qmc or random.")
        trials, minutes = self._read_count("trials"), self._read_minutes()
        if trials is None and minutes is None:
            self.fail((), "no budget: give trials or minutes.")
        return Space(
            self.name,
            self.text,
            base,
            parameters,
            objectives,
            trials,
            minutes,
            self._read_count("seeds") or 1,
            str(sampler["name"]),
            self._read_seed(sampler),
            str(pruner["name"]),
            self._read_first_values(parameters),
        )

    def _read_seed(self, sampler: Mapping[str, Any]) -> int:
        seed = sampler.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            self.fail(("sampler", "seed"), f"`seed`: expected a whole number from 0, got {seed!r}.")
        return seed

    def _build_base(self) -> RunConfig:
        """Return the recipe with the fixed settings; trials draw no plots and measure no costs."""
        table = self.read_table(("settings",), self.values.get("settings", {}))
        fixed = {key: value for key, (value, _) in table.items()}
        with self.errors_at(("recipe",)):
            base = resolve(self.recipe or self.values.get("recipe"))
            base = configuration.replace(base, {"track.pictures": False, "track.costs": "off"})
        for key, (value, path) in table.items():
            if key.startswith("track."):
                self.fail(path, f"`{key}` is no setting of trials: give it on the command line, as --{key}.")
            with self.errors_at(path):
                parse_value(key, value)
        with self.errors_at(("settings",)):
            changed = fixed | self.overrides
            if self.is_stored:
                base = configuration.replace(base, changed)
            else:
                base = override(base, changed, searched=self._searched_keys())
        if base.data.folds:
            self.fail(("settings",), "trials cannot have folds: leave data.folds out, or set seeds.")
        return base

    def _searched_keys(self) -> list[str]:
        table = self.values.get("space", {})
        return [*self.read_table(("space",), table)] if isinstance(table, dict) else []

    def _read_parameters(self, base: RunConfig) -> tuple[Parameter, ...]:
        table = self.values.get("space", {})
        if not isinstance(table, dict) or not table:
            self.fail(("space",), "there is nothing to search: expected a table [space] of settings.")
        parameters: dict[str, Parameter] = {}
        rows = self.read_table(("space",), table)
        for key, (value, path) in rows.items():
            self._check_searchable(key, base, path)
            if key in self.overrides:
                continue
            parameter = self._read_parameter(key, value, path, base, parameters)
            if self._can_be_active(parameter, base, parameters):
                parameters[key] = parameter
            else:
                self.dropped.add(key)
        if not parameters:
            self.fail(("space",), "there is nothing to search: all of it is given on the command line.")
        if not self.is_stored:
            for key, problem in explain_ineffective(base, [*parameters.values()]):
                self.fail(rows[key][1], problem)
        return tuple(parameters.values())

    def _check_searchable(self, key: str, base: RunConfig, path: toml_lines.KeyPath) -> None:
        if key.startswith(_NOT_SEARCHABLE):
            self.fail(path, f"`{key}` cannot be searched: trials could not be compared. Put it into [settings].")
        if key in self.read_table(("settings",), self.values.get("settings", {})):
            self.fail(path, f"`{key}` is both in [settings] and in [space]: leave one of them out.")
        phase = key.partition(".")[0]
        if phase in configuration.PHASES and phase not in base.phases and "phases" not in self._searched_keys():
            self.fail(path, f"`{key}` has no effect: `phases` is {format_value(base.phases)}.")

    def _read_parameter(
        self, key: str, value: Any, path: toml_lines.KeyPath, base: RunConfig, earlier: Mapping[str, Parameter]
    ) -> Parameter:
        """Return a parameter; `earlier` are those above it in the file."""
        kind = value.get("distribution")
        if kind not in _DISTRIBUTIONS:
            near = suggest(str(kind), _DISTRIBUTIONS)
            self.fail(path, f"`{key}`: expected a distribution of {', '.join(_DISTRIBUTIONS)}, got {kind!r}.{near}")
        allowed = (*_RANGES.get(kind, ("choices",)), "distribution", "when")
        for name in value:
            if name not in allowed:
                has = f"{', '.join(allowed)}.{suggest(name, allowed)}"
                self.fail((*path, name), f"`{key}`: a {kind} distribution has no `{name}`, but {has}")
        when = self._read_conditions(value.get("when", {}), (*path, "when"), base, earlier)
        if kind == "categorical":
            return Parameter(key, kind, choices=self._read_choices(key, value, path), when=when)
        low, high, step = (self._read_number(key, value, name, path) for name in ("low", "high", "step"))
        assert low is not None
        assert high is not None
        self._check_range(key, kind, low, high, step, path)
        return Parameter(key, kind, low, high, step, when=when)

    def _read_number(self, key: str, value: Mapping[str, Any], name: str, path: toml_lines.KeyPath) -> float | None:
        number = value.get(name)
        if number is None and name == "step":
            return None
        if number is None:
            self.fail(path, f"`{key}`: `{name}` is missing.")
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            self.fail((*path, name), f"`{key}`: expected a number for `{name}`, got {number!r}.")
        return number

    def _check_range(
        self, key: str, kind: str, low: float, high: float, step: float | None, path: toml_lines.KeyPath
    ) -> None:
        """Raise unless a range is one and its setting allows the values in it."""
        if low >= high:
            self.fail(path, f"`{key}`: expected low below high, got {low:g} and {high:g}.")
        if kind.startswith("log") and low <= 0:
            self.fail(path, f"`{key}`: a {kind} range begins above 0, got {low:g}.")
        if step is not None and not 0 < step <= high - low:
            self.fail(path, f"`{key}`: expected a step above 0 and within the range, got {step:g}.")
        is_integer = "integer" in kind
        if is_integer and any(number is not None and number != int(number) for number in (low, high, step)):
            self.fail(path, f"`{key}`: the bounds and steps of {kind} are whole numbers.")
        examples = [low, high] if is_integer else [float(low), float(high), low + (high - low) * 0.3819]
        for value in examples:
            with self.errors_at(path, f"{kind} does not fit `{key}`, which would be drawn as {value:.4g}. "):
                parse_value(key, int(value) if is_integer else value)

    def _read_choices(self, key: str, value: Mapping[str, Any], path: toml_lines.KeyPath) -> tuple[Any, ...]:
        values = value.get("choices")
        if not isinstance(values, list) or len(values) < 2:
            self.fail(path, f"`{key}`: expected a list of at least two choices, got {values!r}.")
        for choice in values:
            with self.errors_at((*path, "choices")):
                parse_value(key, choice)
        choices = tuple(map(_convert_choice, values))
        if len(set(map(repr, choices))) < len(choices):
            self.fail((*path, "choices"), f"`{key}`: a choice is given twice.")
        return choices

    def _read_conditions(
        self, value: Any, path: toml_lines.KeyPath, base: RunConfig, earlier: Mapping[str, Parameter]
    ) -> dict[str, tuple[Any, ...]]:
        """Return the allowed values by key of settings that are fixed, or searched by an earlier parameter."""
        conditions = {}
        for key, (entry, key_path) in self.read_table(path, value, leaves=True).items():
            values = entry if isinstance(entry, list) else [entry]
            with self.errors_at(key_path):
                conditions[key] = tuple(parse_value(key, allowed) for allowed in values)
            parameter, text = earlier.get(key), " or ".join(map(repr, conditions[key]))
            if parameter is not None and parameter.is_continuous:
                self.fail(key_path, f"`{key}` takes any value of a range: a condition needs choices or steps.")
            if parameter is not None and not parameter.can_equal(conditions[key]):
                self.fail(key_path, f"`{key}` is never {text}: its parameter above cannot draw that.")
            if parameter is None and base.flat()[key] not in conditions[key] and not self._is_overridden(key):
                self.fail(key_path, f"`{key}` is never {text}: it is {base.flat()[key]!r}, and no parameter above.")
        return conditions

    def _can_be_active(self, parameter: Parameter, base: RunConfig, earlier: Mapping[str, Parameter]) -> bool:
        """Return whether the conditions of a parameter can hold; overrides may rule them out."""
        return all(key in earlier or base.flat()[key] in allowed for key, allowed in parameter.when.items())

    def _is_overridden(self, key: str) -> bool:
        """Return whether an override fixes a setting, or makes it one that is not searched."""
        return key in self.overrides or key in self.dropped

    def _read_objectives(self) -> tuple[Objective, ...]:
        metrics = self._read_texts("objective", "val/accuracy")
        if len(set(metrics)) < len(metrics):
            self.fail(("objective",), "an objective is given twice.")
        for metric in metrics:
            if metric.startswith("test/"):
                self.fail(("objective",), f"{metric} would choose by the test images: take a validation metric.")
            if metric not in OBJECTIVES:
                choices = ", ".join(OBJECTIVES)
                self.fail(
                    ("objective",),
                    f"unknown objective {metric!r}: expected one of {choices}.{_suggest_objective(metric)}",
                )
        defaults = ["maximize" if metric in MAXIMIZED else "minimize" for metric in metrics]
        directions = self._read_texts("direction", defaults)
        if len(directions) != len(metrics) or not set(directions) <= {*_DIRECTIONS}:
            self.fail(("direction",), f"expected {' or '.join(_DIRECTIONS)} for each objective, got {directions}.")
        return tuple(
            Objective(metric, "maximize" if direction == "maximize" else "minimize")
            for metric, direction in zip(metrics, directions, strict=True)
        )

    def _read_texts(self, key: str, default: str | Sequence[str]) -> list[str]:
        """Return the texts of a key, which may hold one text or a list of them."""
        value = self.values.get(key, default)
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            self.fail((key,), f"`{key}`: expected text or a list of texts, got {value!r}.")
        return texts

    def _read_algorithm(self, key: str, names: tuple[str, ...]) -> dict[str, Any]:
        """Return a sampler or pruner, given by its name or as a table, as a table with its name."""
        value = self.values.get(key, names[0])
        table = {"name": value} if isinstance(value, str) else value
        if not isinstance(table, dict) or table.get("name") not in names:
            given = str(table.get("name") if isinstance(table, dict) else value)
            self.fail((key,), f"`{key}`: expected one of {', '.join(names)}, got {value!r}.{suggest(given, names)}")
        options = ("name", "seed") if key == "sampler" else ("name",)
        for option in table:
            if option not in options:
                has = f"{', '.join(options)}.{suggest(option, options)}"
                self.fail((key, option), f"`{key}` has no `{option}`, but {has}")
        return table

    def _read_count(self, key: str) -> int | None:
        value = self.budget.get(key, self.values.get(key))
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            self._fail_at_budget(key, f"expected a whole number of at least 1, got {value!r}.")
        return value

    def _read_minutes(self) -> float | None:
        value = self.budget.get("minutes", self.values.get("minutes"))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            self._fail_at_budget("minutes", f"expected a number above 0, got {value!r}.")
        return float(value)

    def _fail_at_budget(self, key: str, problem: str) -> NoReturn:
        """Raise a `ConfigError` for a budget, at its line if it is that of the file."""
        if key in self.budget:
            raise ConfigError(f"Invalid value for `{key}`: {problem}")
        self.fail((key,), f"`{key}`: {problem}")

    def _read_first_values(self, parameters: tuple[Parameter, ...]) -> tuple[Mapping[str, Any], ...]:
        tables = self.values.get("first", [])
        if not isinstance(tables, list):
            self.fail(("first",), "expected tables [[first]] of values to try first.")
        by_key, first_values = {parameter.key: parameter for parameter in parameters}, []
        for index, table in enumerate(tables):
            values = {}
            for key, (value, path) in self.read_table(("first", str(index)), table, leaves=True).items():
                parameter = by_key.get(key)
                if parameter is None and self._is_overridden(key):
                    continue
                if parameter is None:
                    self.fail(path, f"`{key}` is not searched.")
                if not parameter.contains(_convert_choice(value)):
                    reason = "no choice of it" if parameter.choices else "out of its range, or between its steps"
                    self.fail(path, f"`{key}` cannot be {value!r}: that is {reason}.")
                values[key] = _convert_choice(value)
            first_values.append(values)
        return tuple(first_values)


def _convert_choice(value: Any) -> Any:
    """Return a choice as Optuna's database can store it: a list becomes text."""
    return format_value(tuple(value)) if isinstance(value, list) else value


def _suggest_objective(metric: str) -> str:
    """Return the objective that was meant, also where the split was left out or written in full."""
    name = f"val/{metric.removeprefix('validation/')}"
    return f" Did you mean {name!r}?" if name in OBJECTIVES else suggest(metric, OBJECTIVES)
