"""A recipe, and the published result that it is expected to reproduce."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinybench.config.run_config import RunConfig

OWN_SOURCE = "tinybench"
"""The source of a metric that nobody else has published."""


@dataclass(frozen=True)
class Expected:
    """A published metric: the claim of its authors, not a promise of ours.

    Attributes:
        metric: The metric's name in our runs, such as `test/accuracy`.
        value: The value as published.
        split: The images on which it was computed: `validation` or `test`.
        source: Who published it.
        model: The backbone that it belongs to, where a recipe has several.
        phase: The phase after which it was computed.
    """

    metric: str
    value: float
    split: str
    source: str
    model: str = ""
    phase: str = ""


@dataclass(frozen=True)
class Recipe:
    """A named configuration with its expected results.

    Attributes:
        name: The name by which it is run.
        build: The function that returns the configuration; its docstring gives source, command, time and expected
            result.
        expected: The published metrics.
        system: The reference system that it reproduces.
        architecture: A short description of the model.
        cost: The approximate time of a run.
    """

    name: str
    build: Callable[[], RunConfig]
    expected: tuple[Expected, ...] = ()
    system: str = ""
    architecture: str = ""
    cost: str = ""

    @property
    def doc(self) -> str:
        """Return source, command, time and expected result, from the docstring of `build`."""
        return (self.build.__doc__ or "").strip()
