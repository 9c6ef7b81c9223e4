"""Find the parameters of a search space that have no effect in all trials, or in some. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinybench.config import run_config as configuration
from tinybench.config.effects import DECIDING, Ineffective, find_ineffective
from tinybench.config.fields import format_value
from tinybench.config.run_config import RunConfig
from tinybench.core.errors import TinybenchError
from tinybench.sweeps.space import Parameter


@dataclass
class _Outcomes:
    """Effects of a parameter in the trials that search it.

    Attributes:
        refused: Why it has no effect, and the values of all settings, for each kind of trial where it has none.
        effective: The values of all settings, for each kind of trial where it has an effect.
    """

    refused: list[tuple[Ineffective, Mapping[str, Any]]] = field(default_factory=list)
    effective: list[Mapping[str, Any]] = field(default_factory=list)


def explain_ineffective(base: RunConfig, parameters: Sequence[Parameter]) -> Iterator[tuple[str, str]]:
    """Yield the key of each parameter that would be searched in vain, with a sentence that says where, and what to do.

    Args:
        base: The configuration that each trial changes.
        parameters: What is searched, in the order in which values are drawn.
    """
    outcomes = {parameter.key: _Outcomes() for parameter in parameters}
    searched = {parameter.key for parameter in parameters}
    for config in _kinds_of_trials(base, parameters):
        values = config.flat()
        ineffective = {item.key: item for item in find_ineffective(config)}
        for parameter in parameters:
            if not _can_be_active(parameter, values, searched):
                continue
            outcome, item = outcomes[parameter.key], ineffective.get(parameter.key)
            if item is None:
                outcome.effective.append(values)
            else:
                outcome.refused.append((item, values))
    order = [parameter.key for parameter in parameters]
    for key, outcome in outcomes.items():
        if outcome.refused:
            yield key, _explain(key, outcome, order)


def _kinds_of_trials(base: RunConfig, parameters: Sequence[Parameter]) -> Iterator[RunConfig]:
    """Yield the configurations of all trials as far as they differ in what decides about effects."""
    deciding = [parameter for parameter in parameters if parameter.key in DECIDING and parameter.choices]
    searched = {parameter.key for parameter in parameters}
    in_conditions = {key for parameter in parameters for key in parameter.when}
    kinds: list[dict[str, Any]] = [{}]
    for parameter in sorted(deciding, key=lambda item: DECIDING.index(item.key)):
        # One choice stands for all that decide alike: otherwise there would be as many kinds as products of choices
        is_deciding = parameter.key in in_conditions or _decides(parameter, base, kinds, searched)
        choices = parameter.choices if is_deciding else parameter.choices[:1]
        kinds = [
            kind | extra
            for kind in kinds
            for extra in (
                [{parameter.key: choice} for choice in choices]
                if _can_be_active(parameter, _replaced(base, kind).flat(), set())
                else [{}]
            )
        ]
    for kind in kinds:
        try:
            yield configuration.replace(base, kind)
        except TinybenchError:  # choices that exclude each other: such trials fail, whatever else is searched
            continue


def _decides(parameter: Parameter, base: RunConfig, kinds: Sequence[Mapping[str, Any]], searched: set[str]) -> bool:
    """Return whether the choices of a parameter differ in which searched settings have an effect."""
    for kind in kinds:
        configs = (_replaced(base, {**kind, parameter.key: choice}) for choice in parameter.choices)
        if len({frozenset(searched & {item.key for item in find_ineffective(config)}) for config in configs}) > 1:
            return True
    return False


def _replaced(base: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    try:
        return configuration.replace(base, values)
    except TinybenchError:
        return base


def _can_be_active(parameter: Parameter, values: Mapping[str, Any], searched: set[str]) -> bool:
    """Return whether a parameter can be searched in a trial; what others draw may be anything."""
    return all(
        values[key] in allowed for key, allowed in parameter.when.items() if key in DECIDING or key not in searched
    )


def _explain(key: str, outcome: _Outcomes, order: list[str]) -> str:
    item, _ = outcome.refused[0]
    decider = item.because_of
    if not outcome.effective:
        return f"`{key}` would have no effect: {item.reason}. Leave it out, or change `{decider}`."
    where = _distinct(values[decider] for _, values in outcome.refused)
    needed = [value for value in _distinct(values[decider] for values in outcome.effective) if value not in where]
    advice = f"Add when = {{ {decider} = {_as_toml(needed)} }} to it"
    if key in order[: order.index(decider)] if decider in order else False:
        advice += f", and put it below `{decider}`"
    values = " or ".join(format_value(value) for value in where)
    return f"`{key}` would have no effect in trials where `{decider}` is {values}. {advice}."


def _distinct(values: Iterator[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _as_toml(values: list[Any]) -> str:
    texts = [str(value) if isinstance(value, int) else f'"{format_value(value)}"' for value in values]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
