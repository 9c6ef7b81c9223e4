"""The models that halvings left out, which a board tells with how sure that was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.data.load_request import short_name
from tinybench.leaderboard.benchmark_tables import list_benchmarks, read_table
from tinybench.tracking import tags

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker

PROBE = "probe"
"""The name of the first rung; those of the others are their last phases."""
_TEXTS = ("dataset", "recipe", "model", "rung", "last_kept")
TABLE = "tables/left_out.csv"
"""The artifact of a benchmark's run that has these models."""


@dataclass(frozen=True)
class HalvedModel:
    """A model that a halving left out after a rung.

    Attributes:
        benchmark: The benchmark.
        dataset: The data set.
        recipe: The recipe.
        model: The model's name.
        rung: The rung after which it was left out.
        last_kept: The last model that was kept.
        accuracy: Its mean validation accuracy there.
        behind: How much lower the accuracy is than that of the last one kept.
        low, high: The 95 % interval of that difference, over validation images and seeds.
    """

    benchmark: str
    dataset: str
    recipe: str
    model: str
    rung: str
    last_kept: str
    accuracy: float
    behind: float
    low: float
    high: float

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
    return [
        model
        for benchmark, run in list_benchmarks(tracker)
        if tags.LEFT_OUT in run.data.tags
        for row in read_table(tracker, run.info.run_id, TABLE)
        for model in _read_model(benchmark, row)
    ]


def _read_model(benchmark: str, row: Mapping[str, str]) -> list[HalvedModel]:
    """Return the model of a row of the table; none if somebody has changed it."""
    try:
        accuracy, behind, low, high = (float(row[name]) for name in ("accuracy", "behind", "low", "high"))
        dataset, recipe, model, rung, last_kept = (row[name] for name in _TEXTS)
    except (KeyError, TypeError, ValueError):
        return []
    return [HalvedModel(benchmark, dataset, recipe, model, rung, last_kept, accuracy, behind, low, high)]
