"""A search space from its TOML file. Standard library only.

Every value is checked as the setting's own before anything starts, and a mistake is told with its line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tinybench.config import run_config as configuration
from tinybench.config import toml_lines
from tinybench.config.fields import as_text
from tinybench.config.run_config import RunConfig, canonical, check
from tinybench.config.toml_tables import Tables
from tinybench.recipes.resolve import resolve
from tinybench.sweeps.space import OBJECTIVES, PRUNERS, RISING, SAMPLERS, Objective, Parameter, Space

_DIRECTIONS = ("maximize", "minimize")
_RANGES = {"uniform": ("low", "high", "step"), "log-uniform": ("low", "high")}
_RANGES |= {"integer": ("low", "high", "step"), "log-integer": ("low", "high")}
_DISTRIBUTIONS = (*_RANGES, "categorical")
_TOP = ("recipe", "objective", "direction", "trials", "minutes", "seeds", "sampler", "pruner")
_TABLES = ("settings", "space", "first")
# Whose change would judge trials by other images, or decides where and not what a run computes
_FIXED = (
    "recipe",
    "dataset",
    "data.",
    "seed",
    "monitor",
    "track.",
    "cache.",
    "checkpoint.",
    "device",
    "explain.",
    "backbone.mirror",
)


def read(text: str, name: str, overrides: Mapping[str, Any] | None = None, shown_as: str | None = None) -> Space:
    """A space from the text of its file.

    Args:
        text: TOML.
        name: Of the study's kind.
        overrides: Settings that are fixed at the values given here, also where the file would search them; `trials`,
            `minutes` and `seeds` as well.
        shown_as: The file in messages; the name when None.

    Raises:
        ConfigError: what is wrong, with the line.
    """
    return _Reader(name, shown_as or name, text, dict(overrides or {})).space()


class _Reader(Tables):
    def __init__(self, name: str, shown_as: str, text: str, overrides: dict[str, Any]) -> None:
        super().__init__(text, shown_as)
        self.name, self.text = name, text
        budget: dict[str, Any] = {key: overrides.pop(key, None) for key in ("trials", "minutes", "seeds")}
        self.budget = {key: value for key, value in budget.items() if value is not None}
        self.given = {canonical(key): value for key, value in overrides.items()}
        self.dropped: set[str] = set()  # parameters that can have no effect beside what was given

    def space(self) -> Space:
        for key in self.values:
            if key not in (*_TOP, *_TABLES):
                self.refuse((key,), f"unknown key `{key}`: expected one of {', '.join((*_TOP, *_TABLES))}.")
        base = self._base()
        parameters = self._parameters(base)
        sampler, pruner = self._algorithm("sampler", SAMPLERS), self._algorithm("pruner", PRUNERS)
        objectives = self._objectives()
        if len(objectives) > 1 and pruner["name"] != "none":
            self.refuse(("pruner",), "several objectives cannot be pruned: leave pruner out, or name one objective.")
        if pruner["name"] != "none" and not objectives[0].figure.startswith("val/"):
            self.refuse(("pruner",), f"{objectives[0].figure} is not known by epoch: leave pruner out.")
        if len(objectives) > 1 and sampler["name"] == "cmaes":
            self.refuse(("sampler",), "cmaes has one objective: take tpe, nsgaii, qmc or random.")
        trials, minutes = self._count("trials"), self._minutes()
        if trials is None and minutes is None:
            self.refuse((), "no budget: give trials or minutes.")
        return Space(
            self.name,
            self.text,
            base,
            parameters,
            objectives,
            trials,
            minutes,
            self._count("seeds") or 1,
            str(sampler["name"]),
            self._seed(sampler),
            str(pruner["name"]),
            self._first(parameters),
        )

    def _seed(self, sampler: Mapping[str, Any]) -> int:
        seed = sampler.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            self.refuse(("sampler", "seed"), f"`seed`: expected a whole number from 0, got {seed!r}.")
        return seed

    def _base(self) -> RunConfig:
        """The recipe with the fixed settings."""
        table = self.table(("settings",), self.values.get("settings", {}))
        fixed = {key: value for key, (value, _) in table.items()}
        # A trial is judged by validation images; its pictures would be looked at by nobody
        own = {"track.pictures": False, "track.costs": "off"}
        with self.at(("recipe",)):
            base = configuration.replace(resolve(self.values.get("recipe")), own)
        for key, (value, path) in table.items():
            if key.startswith("track."):
                self.refuse(path, f"`{key}` is no setting of trials: give it on the command line, as --{key}.")
            with self.at(path):
                check(key, value)
        with self.at(("settings",)):
            base = configuration.replace(base, fixed | self.given)
        if base.data.folds:
            self.refuse(("settings",), "trials cannot have folds: leave data.folds out, or set seeds.")
        return base

    def _parameters(self, base: RunConfig) -> tuple[Parameter, ...]:
        table = self.values.get("space", {})
        if not isinstance(table, dict) or not table:
            self.refuse(("space",), "there is nothing to search: expected a table [space] of settings.")
        found: dict[str, Parameter] = {}
        for key, (value, path) in self.table(("space",), table).items():
            self._searchable(key, base, path)
            if key in self.given:
                continue
            parameter = self._parameter(key, value, path, base, found)
            if self._possible(parameter, base, found):
                found[key] = parameter
            else:
                self.dropped.add(key)
        if not found:
            self.refuse(("space",), "there is nothing to search: all of it is given on the command line.")
        return tuple(found.values())

    def _searchable(self, key: str, base: RunConfig, path: toml_lines.Path) -> None:
        if key.startswith(_FIXED):
            self.refuse(path, f"`{key}` cannot be searched: trials could not be compared. Put it into [settings].")
        if key in self.table(("settings",), self.values.get("settings", {})):
            self.refuse(path, f"`{key}` is both in [settings] and in [space]: leave one of them out.")
        phase = key.partition(".")[0]
        if phase in configuration.PHASES and phase not in base.phases:
            self.refuse(path, f"`{key}` has no effect: `phases` is {as_text(base.phases)}.")

    def _parameter(
        self, key: str, value: Any, path: toml_lines.Path, base: RunConfig, before: Mapping[str, Parameter]
    ) -> Parameter:
        kind = value.get("distribution")
        if kind not in _DISTRIBUTIONS:
            self.refuse(path, f"`{key}`: expected a distribution of {', '.join(_DISTRIBUTIONS)}, got {kind!r}.")
        allowed = (*_RANGES.get(kind, ("choices",)), "distribution", "when")
        for word in value:
            if word not in allowed:
                self.refuse((*path, word), f"`{key}`: a {kind} distribution has no `{word}`, but {', '.join(allowed)}.")
        when = self._when(value.get("when", {}), (*path, "when"), base, before)
        if kind == "categorical":
            return Parameter(key, kind, choices=self._choices(key, value, path), when=when)
        low, high, step = (self._number(key, value, word, path) for word in ("low", "high", "step"))
        assert low is not None
        assert high is not None
        self._range(key, kind, low, high, step, path)
        return Parameter(key, kind, low, high, step, when=when)

    def _number(self, key: str, value: Mapping[str, Any], word: str, path: toml_lines.Path) -> float | None:
        number = value.get(word)
        if number is None and word == "step":
            return None
        if number is None:
            self.refuse(path, f"`{key}`: `{word}` is missing.")
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            self.refuse((*path, word), f"`{key}`: expected a number for `{word}`, got {number!r}.")
        return number

    def _range(self, key: str, kind: str, low: float, high: float, step: float | None, path: toml_lines.Path) -> None:
        if low >= high:
            self.refuse(path, f"`{key}`: expected low below high, got {low:g} and {high:g}.")
        if kind.startswith("log") and low <= 0:
            self.refuse(path, f"`{key}`: a {kind} range begins above 0, got {low:g}.")
        if step is not None and not 0 < step <= high - low:
            self.refuse(path, f"`{key}`: expected a step above 0 and within the range, got {step:g}.")
        whole = "integer" in kind
        if whole and any(each is not None and each != int(each) for each in (low, high, step)):
            self.refuse(path, f"`{key}`: the bounds and steps of {kind} are whole numbers.")
        inside = [low, high] if whole else [float(low), float(high), low + (high - low) * 0.3819]
        for value in inside:
            with self.at(path, f"{kind} does not fit `{key}`, which would be drawn as {value:.4g}. "):
                check(key, int(value) if whole else value)

    def _choices(self, key: str, value: Mapping[str, Any], path: toml_lines.Path) -> tuple[Any, ...]:
        choices = value.get("choices")
        if not isinstance(choices, list) or len(choices) < 2:
            self.refuse(path, f"`{key}`: expected a list of at least two choices, got {choices!r}.")
        for each in choices:
            with self.at((*path, "choices")):
                check(key, each)
        plain = tuple(map(_plain, choices))
        if len(set(map(repr, plain))) < len(plain):
            self.refuse((*path, "choices"), f"`{key}`: a choice is given twice.")
        return plain

    def _when(
        self, value: Any, path: toml_lines.Path, base: RunConfig, before: Mapping[str, Parameter]
    ) -> dict[str, tuple[Any, ...]]:
        """Conditions, each on a setting that is fixed or drawn before."""
        found = {}
        for key, (wanted, place) in self.table(path, value, leaves=True).items():
            allowed = wanted if isinstance(wanted, list) else [wanted]
            with self.at(place):
                found[key] = tuple(check(key, each) for each in allowed)
            earlier, words = before.get(key), " or ".join(map(repr, found[key]))
            if earlier is not None and earlier.continuous:
                self.refuse(place, f"`{key}` takes any value of a range: a condition needs choices or steps.")
            if earlier is not None and not earlier.can_be(found[key]):
                self.refuse(place, f"`{key}` is never {words}: its parameter above cannot draw that.")
            if (
                earlier is None
                and base.flat()[key] not in found[key]
                and not {key} & (self.given.keys() | self.dropped)
            ):
                self.refuse(place, f"`{key}` is never {words}: it is {base.flat()[key]!r}, and no parameter above.")
        return found

    def _possible(self, parameter: Parameter, base: RunConfig, before: Mapping[str, Parameter]) -> bool:
        """Whether its conditions can hold; what was given may rule them out."""
        return all(key in before or base.flat()[key] in allowed for key, allowed in parameter.when.items())

    def _objectives(self) -> tuple[Objective, ...]:
        figures = self._words("objective", "val/accuracy")
        for figure in figures:
            if figure.startswith("test/"):
                self.refuse(("objective",), f"{figure} would choose by the test images: take a figure of validation.")
            if figure not in OBJECTIVES:
                self.refuse(("objective",), f"unknown objective {figure!r}: expected one of {', '.join(OBJECTIVES)}.")
        own = ["maximize" if figure in RISING else "minimize" for figure in figures]
        directions = self._words("direction", own)
        if len(directions) != len(figures) or not set(directions) <= {*_DIRECTIONS}:
            self.refuse(("direction",), f"expected {' or '.join(_DIRECTIONS)} for each objective, got {directions}.")
        return tuple(
            Objective(figure, "maximize" if direction == "maximize" else "minimize")
            for figure, direction in zip(figures, directions, strict=True)
        )

    def _words(self, key: str, default: str | Sequence[str]) -> list[str]:
        value = self.values.get(key, default)
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            self.refuse((key,), f"`{key}`: expected a word or a list of words, got {value!r}.")
        if key == "objective" and len(set(words)) < len(words):
            self.refuse((key,), "an objective is given twice.")
        return words

    def _algorithm(self, key: str, allowed: tuple[str, ...]) -> dict[str, Any]:
        """A sampler or pruner, by its name or as a table."""
        value = self.values.get(key, allowed[0])
        found = {"name": value} if isinstance(value, str) else value
        if not isinstance(found, dict) or found.get("name") not in allowed:
            self.refuse((key,), f"`{key}`: expected one of {', '.join(allowed)}, got {value!r}.")
        own = ("name", "seed") if key == "sampler" else ("name",)
        for word in found:
            if word not in own:
                self.refuse((key, word), f"`{key}` has no `{word}`, but {', '.join(own)}.")
        return found

    def _count(self, key: str) -> int | None:
        value = self.budget.get(key, self.values.get(key))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self.refuse((key,), f"`{key}`: expected a whole number of at least 1, got {value!r}.")
        return value

    def _minutes(self) -> float | None:
        value = self.budget.get("minutes", self.values.get("minutes"))
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            self.refuse(("minutes",), f"`minutes`: expected a number above 0, got {value!r}.")
        return float(value)

    def _first(self, parameters: tuple[Parameter, ...]) -> tuple[Mapping[str, Any], ...]:
        tables = self.values.get("first", [])
        if not isinstance(tables, list):
            self.refuse(("first",), "expected tables [[first]] of values to try first.")
        by_key, found = {each.key: each for each in parameters}, []
        for place, table in enumerate(tables):
            values = {}
            for key, (value, path) in self.table(("first", str(place)), table, leaves=True).items():
                parameter = by_key.get(key)
                if parameter is None and key in self.given.keys() | self.dropped:
                    continue
                if parameter is None:
                    self.refuse(path, f"`{key}` is not searched.")
                if not parameter.holds(_plain(value)):
                    why = "no choice of it" if parameter.choices else "out of its range, or between its steps"
                    self.refuse(path, f"`{key}` cannot be {value!r}: that is {why}.")
                values[key] = _plain(value)
            found.append(values)
        return tuple(found)


def _plain(value: Any) -> Any:
    """A choice as Optuna's database takes it: a list as text."""
    return as_text(tuple(value)) if isinstance(value, list) else value
