"""The models that halvings left out, which a board tells with how sure that was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.data.load_request import short_name
from tinybench.tracking import run_kinds, tags

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker

PROBE = "probe"
"""The name of the first rung; those of the others are their last phases."""
_BENCHMARKS = f"tags.`{tags.KIND}` = '{run_kinds.BENCHMARK}' and tags.`{tags.LEFT_OUT}` != ''"


@dataclass(frozen=True)
class HalvedModel:
    """A model that a halving left out after a rung.

    Attributes:
        dataset: The data set.
        recipe: The recipe.
        model: The model's name.
        rung: The rung after which it was left out.
        accuracy: Its mean validation accuracy there.
        last_kept: The last model that was kept.
        behind: How much lower the accuracy is than that of the last one kept.
        low, high: The 95 % interval of that difference, over validation images and seeds.
        benchmark: The benchmark.
    """

    dataset: str
    recipe: str
    model: str
    rung: str
    accuracy: float
    last_kept: str
    behind: float
    low: float
    high: float
    benchmark: str = ""

    def describe(self) -> str:
        """Return a sentence about the model, which says whether it may be as good."""
        rung = "the probe" if self.rung == PROBE else f"the phase {self.rung}"
        doubt = "" if self.low > 0 else "; it may be as good"
        return (
            f"{self.model} was left out on {short_name(self.dataset)} after {rung}: validation accuracy "
            f"{self.accuracy:.3f}, {self.behind:.3f} below {self.last_kept}, the last one kept "
            f"[{self.low:.3f}, {self.high:.3f}]{doubt}."
        )


def list_halved_models(tracker: Tracker) -> list[HalvedModel]:
    """Return the models that the halvings of a store left out, those of the newest run of each benchmark."""
    models: list[HalvedModel] = []
    seen: set[str] = set()
    for run in tracker.search_runs(_BENCHMARKS):
        benchmark = run.data.tags.get(tags.BENCHMARK, "")
        if benchmark not in seen:
            seen.add(benchmark)
            models += _read_models(run.data.tags.get(tags.LEFT_OUT, ""), benchmark)
    return models


def _read_models(text: str, benchmark: str) -> list[HalvedModel]:
    """Return the models that a tag names; none if somebody has changed it."""
    try:
        return [HalvedModel(**values | {"benchmark": benchmark}) for values in json.loads(text)]
    except (ValueError, TypeError, AttributeError):
        return []
