"""A search space: which settings a study looks at, in what range, for what, and how long. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tinybench.config import run_config as configuration
from tinybench.config.run_config import RunConfig
from tinybench.core.errors import ConfigError

RISING = ("val/accuracy", "val/top5")
TRAINING_SECONDS = "efficiency/training_seconds"  # which a training itself says
COSTS = (
    "efficiency/cpu_latency_p50_ms",
    "efficiency/gpu_latency_p50_ms",
    "efficiency/cpu_memory_peak_bytes",
    "efficiency/parameters",
    "efficiency/weight_bytes",
    "efficiency/flops",
    TRAINING_SECONDS,
)
OBJECTIVES = (*RISING, "val/loss", *COSTS)
SAMPLERS = ("tpe", "random", "cmaes", "nsgaii", "qmc")
PRUNERS = ("none", "median", "hyperband")


@dataclass(frozen=True)
class Parameter:
    """A setting that is searched.

    Attributes:
        key: Its dotted key.
        distribution: `uniform`, `log-uniform`, `integer`, `log-integer` or `categorical`.
        low: The least value of a range.
        high: The greatest.
        step: Between values of a range; None for any.
        choices: Of a categorical one.
        when: Other keys with the values that they must have, else this one is not drawn.
    """

    key: str
    distribution: str
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def continuous(self) -> bool:
        """Whether it is a range without steps, of which no value comes twice."""
        return self.distribution in ("uniform", "log-uniform") and self.step is None

    def active(self, values: Mapping[str, Any]) -> bool:
        """Whether it is drawn, given the values of all settings by key."""
        return all(values[key] in allowed for key, allowed in self.when.items())

    def can_be(self, wanted: tuple[Any, ...]) -> bool:
        """Whether it can draw one of some values, given as the setting has them."""
        if self.choices:
            return any(configuration.check(self.key, choice) in wanted for choice in self.choices)
        return any(map(self.holds, wanted))

    def holds(self, value: Any) -> bool:
        """Whether it could draw a value."""
        if self.distribution == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step is not None else 0.0
        whole = "integer" not in self.distribution or value == int(value)
        return whole and math.isclose(steps, round(steps), abs_tol=1e-9)


@dataclass(frozen=True)
class Objective:
    """A figure that is looked for, and whether the greatest or the least is best."""

    figure: str
    direction: Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Space:
    """What a study does.

    Attributes:
        name: Of the file, without its ending.
        text: The file's text.
        base: The configuration that each trial changes.
        parameters: What is drawn, in the order of the file.
        objectives: At least one.
        trials: How many; None for as many as the time allows.
        minutes: How long; None for as long as the trials take.
        seeds: Trainings of a trial, whose figures are averaged.
        sampler: One of `SAMPLERS`.
        sampler_seed: Of its draws.
        pruner: One of `PRUNERS`.
        first: Values by key that are tried before the sampler has its say.
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
    first: tuple[Mapping[str, Any], ...]

    @property
    def costs(self) -> bool:
        """Whether an objective is one that a process of its own measures."""
        return any(each.figure in COSTS and each.figure != TRAINING_SECONDS for each in self.objectives)

    @property
    def timed(self) -> bool:
        """Whether an objective is a time, which other work on the machine changes."""
        return any(word in each.figure for each in self.objectives for word in ("latency", "seconds"))

    def check_workers(self, count: int) -> None:
        """Refuse trials beside each other where an objective is a time.

        Raises:
            ConfigError: it is one.
        """
        if count > 1 and self.timed:
            raise ConfigError(
                "Invalid value for `--workers`: expected 1 where an objective is a time, since trials beside each "
                "other would slow each other down. Or take an objective such as efficiency/flops."
            )

    def config(self, drawn: Mapping[str, Any]) -> RunConfig:
        """The configuration of a trial.

        Raises:
            ConfigError: values that are allowed by themselves, but not together.
        """
        return configuration.replace(self.base, drawn)
