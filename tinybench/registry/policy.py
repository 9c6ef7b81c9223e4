"""What a candidate must hold to become champion: `gates.toml`, or these limits. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tinybench.errors import ConfigError
from tinybench.tables import Tables

FILE = "gates.toml"  # read where the command runs, if it is there


@dataclass(frozen=True)
class AccuracyGate:
    """The candidate may not be less accurate.

    Attributes:
        delta: The lower end of the 95 % interval of candidate less champion must lie above minus this.
    """

    delta: float = 0.01


@dataclass(frozen=True)
class CalibrationGate:
    """Its probabilities must mean what they say.

    Attributes:
        max_ece: Expected calibration error at the model's temperature.
        max_rise: Of it, above the champion's.
    """

    max_ece: float | None = 0.15
    max_rise: float | None = 0.03


@dataclass(frozen=True)
class LatencyGate:
    """It must answer as fast.

    Attributes:
        max_p99_ms: Of one image on this machine's processor.
        max_ratio: Of the p99, to the champion's, measured in turn with it.
        rounds: Processes a model.
    """

    max_p99_ms: float | None = None
    max_ratio: float | None = 1.5
    rounds: float = 3


@dataclass(frozen=True)
class SizeGate:
    """It must not be much larger.

    Attributes:
        max_mb: Of the model's file.
        max_ratio: To the champion's.
    """

    max_mb: float | None = None
    max_ratio: float | None = 2.0


@dataclass(frozen=True)
class ClassesGate:
    """No class may be given up for others.

    Attributes:
        max_fall: Of any class's recall, below the champion's.
        min_images: Of a class, below which its recall says too little.
    """

    max_fall: float = 0.2
    min_images: float = 20


@dataclass(frozen=True)
class ReloadGate:
    """The model that is registered must be the one that was tested.

    Attributes:
        tolerance: Of a probability, between the model that was loaded again and what the run kept.
    """

    tolerance: float = 0.005


@dataclass(frozen=True)
class PlainGate:
    """A gate without limits."""


@dataclass(frozen=True)
class Policy:
    """Every gate; None for one that is switched off."""

    data: PlainGate | None = field(default_factory=PlainGate)
    signature: PlainGate | None = field(default_factory=PlainGate)
    accuracy: AccuracyGate | None = field(default_factory=AccuracyGate)
    classes: ClassesGate | None = field(default_factory=ClassesGate)
    calibration: CalibrationGate | None = field(default_factory=CalibrationGate)
    reload: ReloadGate | None = field(default_factory=ReloadGate)
    size: SizeGate | None = field(default_factory=SizeGate)
    latency: LatencyGate | None = field(default_factory=LatencyGate)


GATES = tuple(each.name for each in fields(Policy))


def read(file: Path | None = None) -> Policy:
    """The policy of a file; without one that of `gates.toml` here, or the usual one.

    Raises:
        ConfigError: what is wrong, with the line.
    """
    if file is None and not Path(FILE).exists():
        return Policy()
    place = file or Path(FILE)
    try:
        text = place.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the gates {place}: {error}. Check the path.") from error
    return parse(text, str(place))


def parse(text: str, shown_as: str = FILE) -> Policy:
    """The policy that a text says; what it leaves out is as usual.

    Raises:
        ConfigError: what is wrong, with the line.
    """
    tables = Tables(text, shown_as)
    changed: dict[str, Any] = {}
    for name, table in tables.values.items():
        if name not in GATES:
            tables.refuse((name,), f"there is no gate `{name}`: expected one of {', '.join(GATES)}.")
        if not isinstance(table, Mapping):
            tables.refuse((name,), f"`{name}`: expected a table of limits, got {table!r}.")
        changed[name] = _gate(tables, name, table)
    return replace(Policy(), **changed)


def _gate(tables: Tables, name: str, table: Mapping[str, Any]) -> Any:
    usual = getattr(Policy(), name)
    allowed = {each.name: getattr(usual, each.name) for each in fields(usual)}
    limits = {}
    for key, value in table.items():
        if key == "off":
            if not isinstance(value, bool):
                tables.refuse((name, key), f"`{name}.off`: expected true or false, got {value!r}.")
        elif key not in allowed:
            words = ", ".join((*allowed, "off"))
            tables.refuse((name, key), f"gate `{name}` has no `{key}`: expected one of {words}.")
        else:
            limits[key] = _limit(tables, name, key, value, may_be_none=_optional(usual, key))
    return None if table.get("off") else replace(usual, **limits)


def _optional(gate: Any, key: str) -> bool:
    return "None" in str(next(each.type for each in fields(gate) if each.name == key))


def _limit(tables: Tables, name: str, key: str, value: Any, *, may_be_none: bool) -> float | None:
    if value == "none" and may_be_none:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        none = ", or none" if may_be_none else ""
        tables.refuse((name, key), f"`{name}.{key}`: expected a number from 0{none}, got {value!r}.")
    if key == "rounds" and (value < 1 or value != int(value)):
        tables.refuse((name, key), f"`{name}.{key}`: expected a whole number from 1, got {value!r}.")
    return float(value)
