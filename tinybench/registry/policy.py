"""Read the gates that a candidate must pass to become champion, from `gates.toml`. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tinybench.config.toml_tables import TomlDocument
from tinybench.core import text_file
from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest

FILE = "gates.toml"
"""The file that is read from the working directory if it exists."""


class Gate:
    """A gate and its limits: the base class of frozen dataclasses whose fields are the limits.

    A limit is a bool, or a number that is not negative; `none` in a file takes away one whose type includes None.
    """

    @property
    def compares(self) -> bool:
        """True if it compares the candidate with the champion; such a gate refuses while the champion's run is lost."""
        return True


@dataclass(frozen=True)
class DataGate(Gate):
    """A gate that requires that both models were tested on the same images of the same data.

    Attributes:
        same_fingerprint: Require the same archive or folder of images, too; false requires the same test images only.
    """

    same_fingerprint: bool = True


@dataclass(frozen=True)
class SignatureGate(Gate):
    """A gate that requires that clients of the champion can use the candidate."""


@dataclass(frozen=True)
class AccuracyGate(Gate):
    """A gate that requires that the candidate is not less accurate by `delta` or more.

    Attributes:
        delta: The lower end of the 95 % interval of candidate minus champion must lie above -delta.
        min_accuracy: The least accuracy of the candidate, also without a champion; None for any.
    """

    delta: float = 0.01
    min_accuracy: float | None = None


@dataclass(frozen=True)
class CalibrationGate(Gate):
    """A gate that requires calibrated probabilities.

    Attributes:
        max_ece: The largest expected calibration error at the model's temperature; None for any.
        max_rise: By how much the error may exceed the champion's; None for any.
    """

    max_ece: float | None = 0.15
    max_rise: float | None = 0.03

    @property
    def compares(self) -> bool:
        """True if `max_rise` is set."""
        return self.max_rise is not None


@dataclass(frozen=True)
class LatencyGate(Gate):
    """A gate that requires that the candidate is not much slower.

    Attributes:
        max_p99_ms: The largest 99th percentile of the latency of one image on this machine's processor; None for any.
        max_ratio: The largest ratio of it to the champion's, measured in turn; None for any.
        rounds: The number of times that each model is measured, each time in a new process.
    """

    max_p99_ms: float | None = None
    max_ratio: float | None = 1.5
    rounds: float = 3

    @property
    def compares(self) -> bool:
        """True if `max_ratio` is set."""
        return self.max_ratio is not None


@dataclass(frozen=True)
class SizeGate(Gate):
    """A gate that requires that the candidate is not much larger.

    Attributes:
        max_mb: The largest size of the model's file in megabytes; None for any.
        max_ratio: The largest ratio of the size to the champion's; None for any.
    """

    max_mb: float | None = None
    max_ratio: float | None = 2.0

    @property
    def compares(self) -> bool:
        """True if `max_ratio` is set."""
        return self.max_ratio is not None


@dataclass(frozen=True)
class ClassesGate(Gate):
    """A gate that requires that no class becomes much worse for the benefit of others.

    Attributes:
        max_fall: By how much the recall of a class may fall below the champion's.
        min_images: The number of test images of a class below which its recall is not compared.
    """

    max_fall: float = 0.2
    min_images: float = 20


@dataclass(frozen=True)
class ReloadGate(Gate):
    """A gate that requires that the stored model predicts what the run's predictions say.

    Attributes:
        tolerance: The largest difference between a probability of the reloaded model and the stored one.
    """

    tolerance: float = 0.005

    @property
    def compares(self) -> bool:
        """False: only the candidate is loaded."""
        return False


@dataclass(frozen=True)
class Policy:
    """All gates, with None for one that is switched off."""

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
        """True if any gate compares the candidate with the champion."""
        return any(gate is not None and gate.compares for gate in (getattr(self, name) for name in GATES))


GATES = tuple(gate.name for gate in fields(Policy))
"""The names of all gates."""

_MAX_ROUNDS = 20  # one takes about 15 seconds for each model


def read(file: Path | None = None) -> Policy:
    """Return the policy of a file.

    Args:
        file: The file; None for `gates.toml` in the working directory, or the default policy if there is no such file.

    Raises:
        ConfigError: The file cannot be read or has a mistake; the message names the line.
    """
    if file is None and not Path(FILE).exists():
        return Policy()
    path = file or Path(FILE)
    try:
        text = text_file.read(path)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"Cannot read the gates {path}: {text_file.describe_error(error)}") from error
    return parse(text, str(path))


def parse(text: str, file_name: str = FILE) -> Policy:
    """Return the policy of a TOML text; gates and limits that it leaves out have their defaults.

    Args:
        text: A table for each gate that differs from the default.
        file_name: The name of the file in error messages.

    Raises:
        ConfigError: The text has a mistake; the message names the line.
    """
    tables = TomlDocument(text, file_name)
    gates: dict[str, Any] = {}
    for name, table in tables.values.items():
        if name not in GATES:
            tables.fail(
                (name,), f"there is no gate `{name}`: expected one of {', '.join(GATES)}.{suggest(name, GATES)}"
            )
        if not isinstance(table, Mapping):
            tables.fail((name,), f"`{name}`: expected a table of limits, got {table!r}.")
        gates[name] = _parse_gate(tables, name, table)
    return replace(Policy(), **gates)


def _parse_gate(tables: TomlDocument, name: str, table: Mapping[str, Any]) -> Any:
    default = getattr(Policy(), name)
    defaults = {limit.name: getattr(default, limit.name) for limit in fields(default)}
    limits: dict[str, Any] = {}
    for key, value in table.items():
        if key not in (*defaults, "off"):
            choices = ", ".join((*defaults, "off"))
            tables.fail(
                (name, key), f"gate `{name}` has no `{key}`: expected one of {choices}.{suggest(key, defaults)}"
            )
        if isinstance(defaults.get(key, False), bool):
            limits[key] = _parse_flag(tables, name, key, value)
        else:
            limits[key] = _parse_limit(tables, name, key, value, may_be_none=_allows_none(default, key))
    return None if limits.pop("off", False) else replace(default, **limits)


def _parse_flag(tables: TomlDocument, name: str, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        tables.fail((name, key), f"`{name}.{key}`: expected true or false, got {value!r}.")
    return value


def _allows_none(gate: Any, key: str) -> bool:
    return "None" in str(next(limit.type for limit in fields(gate) if limit.name == key))


def _parse_limit(tables: TomlDocument, name: str, key: str, value: Any, *, may_be_none: bool) -> float | None:
    if value == "none" and may_be_none:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        none = ", or none" if may_be_none else ""
        tables.fail((name, key), f"`{name}.{key}`: expected a number from 0{none}, got {value!r}.")
    if key == "rounds" and (not 1 <= value <= _MAX_ROUNDS or value != int(value)):
        tables.fail((name, key), f"`{name}.{key}`: expected a whole number in 1..{_MAX_ROUNDS}, got {value!r}.")
    return float(value)
