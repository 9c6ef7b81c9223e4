"""What a candidate must hold to become champion: `gates.toml`, or these limits. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tinybench.config.toml_tables import Tables
from tinybench.core.errors import ConfigError

FILE = "gates.toml"  # read where the command runs, if it is there


class Gate:
    """A gate with its limits."""

    @property
    def compares(self) -> bool:
        """Whether it needs the champion, where there is one."""
        return True


@dataclass(frozen=True)
class DataGate(Gate):
    """Both must have been tested on the same images of the same data.

    Attributes:
        same_fingerprint: Of the archive or folder that the images came from; false asks for the test images alone.
    """

    same_fingerprint: bool = True


@dataclass(frozen=True)
class SignatureGate(Gate):
    """Clients of the champion must be able to use it."""


@dataclass(frozen=True)
class AccuracyGate(Gate):
    """The candidate may not be less accurate.

    Attributes:
        delta: The lower end of the 95 % interval of candidate less champion must lie above minus this.
        min_accuracy: Of the candidate, also where there is no champion.
    """

    delta: float = 0.01
    min_accuracy: float | None = None


@dataclass(frozen=True)
class CalibrationGate(Gate):
    """Its probabilities must mean what they say.

    Attributes:
        max_ece: Expected calibration error at the model's temperature.
        max_rise: Of it, above the champion's.
    """

    max_ece: float | None = 0.15
    max_rise: float | None = 0.03

    @property
    def compares(self) -> bool:
        """Only by its rise."""
        return self.max_rise is not None


@dataclass(frozen=True)
class LatencyGate(Gate):
    """It must answer as fast.

    Attributes:
        max_p99_ms: Of one image on this machine's processor.
        max_ratio: Of the p99, to the champion's, measured in turn with it.
        rounds: Processes a model.
    """

    max_p99_ms: float | None = None
    max_ratio: float | None = 1.5
    rounds: float = 3

    @property
    def compares(self) -> bool:
        """Only by its ratio."""
        return self.max_ratio is not None


@dataclass(frozen=True)
class SizeGate(Gate):
    """It must not be much larger.

    Attributes:
        max_mb: Of the model's file.
        max_ratio: To the champion's.
    """

    max_mb: float | None = None
    max_ratio: float | None = 2.0

    @property
    def compares(self) -> bool:
        """Only by its ratio."""
        return self.max_ratio is not None


@dataclass(frozen=True)
class ClassesGate(Gate):
    """No class may be given up for others.

    Attributes:
        max_fall: Of any class's recall, below the champion's.
        min_images: Of a class, below which its recall says too little.
    """

    max_fall: float = 0.2
    min_images: float = 20


@dataclass(frozen=True)
class ReloadGate(Gate):
    """The model that is registered must be the one that was tested.

    Attributes:
        tolerance: Of a probability, between the model that was loaded again and what the run kept.
    """

    tolerance: float = 0.005

    @property
    def compares(self) -> bool:
        """The champion is not its business."""
        return False


@dataclass(frozen=True)
class Policy:
    """Every gate; None for one that is switched off."""

    data: DataGate | None = field(default_factory=DataGate)
    signature: SignatureGate | None = field(default_factory=SignatureGate)
    accuracy: AccuracyGate | None = field(default_factory=AccuracyGate)
    classes: ClassesGate | None = field(default_factory=ClassesGate)
    calibration: CalibrationGate | None = field(default_factory=CalibrationGate)
    reload: ReloadGate | None = field(default_factory=ReloadGate)
    size: SizeGate | None = field(default_factory=SizeGate)
    latency: LatencyGate | None = field(default_factory=LatencyGate)

    @property
    def compares(self) -> bool:
        """Whether any gate needs the champion."""
        return any(gate is not None and gate.compares for gate in (getattr(self, name) for name in GATES))


_MAX_ROUNDS = 20  # each takes a quarter of a minute a model
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
        changed[name] = _parse_gate(tables, name, table)
    return replace(Policy(), **changed)


def _parse_gate(tables: Tables, name: str, table: Mapping[str, Any]) -> Any:
    usual = getattr(Policy(), name)
    allowed = {each.name: getattr(usual, each.name) for each in fields(usual)}
    limits: dict[str, Any] = {}
    for key, value in table.items():
        if key not in (*allowed, "off"):
            words = ", ".join((*allowed, "off"))
            tables.refuse((name, key), f"gate `{name}` has no `{key}`: expected one of {words}.")
        if isinstance(allowed.get(key, False), bool):
            limits[key] = _parse_flag(tables, name, key, value)
        else:
            limits[key] = _parse_limit(tables, name, key, value, may_be_none=_allows_none(usual, key))
    return None if limits.pop("off", False) else replace(usual, **limits)


def _parse_flag(tables: Tables, name: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        tables.refuse((name, key), f"`{name}.{key}`: expected true or false, got {value!r}.")
    return value


def _allows_none(gate: Any, key: str) -> bool:
    return "None" in str(next(each.type for each in fields(gate) if each.name == key))


def _parse_limit(tables: Tables, name: str, key: str, value: Any, *, may_be_none: bool) -> float | None:
    if value == "none" and may_be_none:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        none = ", or none" if may_be_none else ""
        tables.refuse((name, key), f"`{name}.{key}`: expected a number from 0{none}, got {value!r}.")
    if key == "rounds" and (not 1 <= value <= _MAX_ROUNDS or value != int(value)):
        tables.refuse((name, key), f"`{name}.{key}`: expected a whole number in 1..{_MAX_ROUNDS}, got {value!r}.")
    return float(value)
