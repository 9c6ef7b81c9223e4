"""A search space: the settings to search, their ranges, the objectives and the budget. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tinybench.config import run_config as configuration
from tinybench.config.run_config import RunConfig
from tinybench.core.errors import ConfigError

MAXIMIZED = ("val/accuracy", "val/top5")
TRAINING_SECONDS = "efficiency/training_seconds"  # measured by the training itself
COSTS = (
    "efficiency/cpu_latency_p50_ms",
    "efficiency/gpu_latency_p50_ms",
    "efficiency/cpu_memory_peak_bytes",
    "efficiency/parameters",
    "efficiency/weight_bytes",
    "efficiency/flops",
    TRAINING_SECONDS,
)
OBJECTIVES = (*MAXIMIZED, "val/loss", *COSTS)
SAMPLERS = ("tpe", "random", "cmaes", "nsgaii", "qmc")
PRUNERS = ("none", "median", "hyperband")


@dataclass(frozen=True)
class Parameter:
    """A setting that is searched.

    Attributes:
        key: Its dotted key.
        distribution: `uniform`, `log-uniform`, `integer`, `log-integer` or `categorical`.
        low: Lower bound of a range.
        high: Upper bound of a range.
        step: Distance between the values of a range; None for any value.
        choices: Values of a categorical parameter.
        when: Allowed values of other settings by key; where a setting has another value, the parameter is not searched.
    """

    key: str
    distribution: str
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def is_continuous(self) -> bool:
        """True if it is a range without steps, so that no value is suggested twice."""
        return self.distribution in ("uniform", "log-uniform") and self.step is None

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Return whether it is searched, given the values of all settings by key."""
        return all(values[key] in allowed for key, allowed in self.when.items())

    def can_equal(self, values: tuple[Any, ...]) -> bool:
        """Return whether it can become one of `values`, which have the type of the setting."""
        if self.choices:
            return any(configuration.parse_value(self.key, choice) in values for choice in self.choices)
        return any(map(self.contains, values))

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of the choices, or in the range and on its steps."""
        if self.distribution == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step is not None else 0.0
        fits_type = "integer" not in self.distribution or value == int(value)
        return fits_type and math.isclose(steps, round(steps), abs_tol=1e-9)


@dataclass(frozen=True)
class Objective:
    """A metric that a study optimises, and the direction that is better."""

    metric: str
    direction: Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Space:
    """A search space with everything else that its file says about a study.

    Attributes:
        name: Name of the file, without its extension.
        text: Text of the file.
        base: The configuration that each trial changes.
        parameters: What is searched, in the order of the file.
        objectives: At least one.
        trials: Number of trials; None for as many as the time allows.
        minutes: Minutes during which trials are started; None for as long as the trials take.
        seeds: Trainings of a trial, over which its metrics are averaged.
        sampler: One of `SAMPLERS`.
        sampler_seed: Seed of the sampler.
        pruner: One of `PRUNERS`.
        first_values: Values by key of the first trials, which are not left to the sampler.
    """

    name: str
    text: str
    base: RunConfig
    parameters: tuple[Parameter, ...]
    objectives: tuple[Objective, ...]
    trials: int | None
    minutes: float | None
    seeds: int
    sampler: str
    sampler_seed: int
    pruner: str
    first_values: tuple[Mapping[str, Any], ...]

    @property
    def measures_costs(self) -> bool:
        """True if an objective is a cost that is measured apart from training."""
        return any(objective.metric in COSTS and objective.metric != TRAINING_SECONDS for objective in self.objectives)

    @property
    def measures_time(self) -> bool:
        """True if an objective is a time, which other work on the machine changes."""
        return any(unit in objective.metric for objective in self.objectives for unit in ("latency", "seconds"))

    def check_workers(self, count: int) -> None:
        """Raise unless `count` workers may run trials at the same time.

        Raises:
            ConfigError: An objective is a time.
        """
        if count > 1 and self.measures_time:
            raise ConfigError(
                "Invalid value for `--workers`: expected 1 where an objective is a time, since trials that run at "
                "the same time slow each other down. Or take an objective such as efficiency/flops."
            )

    def build_config(self, values: Mapping[str, Any]) -> RunConfig:
        """Return the configuration of a trial with some values by key.

        Raises:
            ConfigError: The values are allowed by themselves, but not together.
        """
        return configuration.replace(self.base, values)
