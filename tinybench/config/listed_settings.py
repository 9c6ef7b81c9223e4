"""Signatures of public functions that take settings, for notebooks and `help`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

from tinybench.config.run_config import canonical_key
from tinybench.config.setting_types import Settings

F = TypeVar("F", bound=Callable[..., object])


def list_settings(function: F) -> F:
    """Put every setting into the signature of a function that takes `**settings`, so that notebooks complete them."""
    return list_settings_except(())(function)


def list_settings_except(left_out: tuple[str, ...]) -> Callable[[F], F]:
    """Return a decorator like `list_settings` that leaves out settings whose keys begin with any of the given texts."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        parameters = [*signature.parameters.values()][:-1]
        settings = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation.__forward_arg__)
            for name, annotation in Settings.__annotations__.items()
            if name not in signature.parameters and not (left_out and _key(name).startswith(left_out))
        ]
        function.__signature__ = signature.replace(parameters=[*parameters, *settings])  # type: ignore[attr-defined]
        return function

    return decorate


def _key(name: str) -> str:
    """Return the dotted key of a keyword argument."""
    return name if name == "recipe" else canonical_key(name)
