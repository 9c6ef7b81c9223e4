"""The published metrics of a model of a board."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tinybench import recipes
from tinybench.config.run_config import NOT_IDENTITY
from tinybench.core.errors import TinybenchError
from tinybench.leaderboard.ranking_metrics import METRICS
from tinybench.recipes.resolve import resolve

if TYPE_CHECKING:
    from tinybench.leaderboard.dataset_board import BoardRow
    from tinybench.leaderboard.entries import Entry


def find_published(row: BoardRow, metric: str) -> float | None:
    """Return what was published for a model after its phase; None if nothing was.

    Args:
        row: The model.
        metric: A metric such as `test/accuracy`. What is published of the validation images is that of the best epoch.
    """
    first = row.entries[0]
    name = metric.replace("best/val_", "val/")
    return _published_metrics(first.recipe).get((name, first.model, first.phase))


def compare_published(row: BoardRow) -> str | None:
    """Return where the model is beside what was published of the metric by which it is ranked.

    Returns:
        `yes` if the published value is within the interval, `above` if the model is better, `below` if it is worse;
        None if none was published.
    """
    figure = find_published(row, f"test/{row.metric}")
    if figure is None:
        return None
    if row.low <= figure <= row.high:
        return "yes"
    return "above" if (row.value < figure) == METRICS[row.metric].lower_is_better else "below"


def is_reproduced(row: BoardRow) -> bool | None:
    """Return whether the published value is within the interval; None if none was published."""
    place = compare_published(row)
    return None if place is None else place == "yes"


def list_other_settings(entry: Entry) -> dict[str, tuple[str, str]]:
    """Return the settings of a run that are not those with which the metrics of its recipe were published.

    Returns:
        By key the value of the run and that of the recipe, as text; nothing if no metric of the model and phase was
        published.
    """
    if not any((model, phase) == (entry.model, entry.phase) for _, model, phase in _published_metrics(entry.recipe)):
        return {}
    defaults = _settings_of_recipe(entry.recipe, entry.model, entry.settings.get("dataset", ""))
    return {
        key: (value, defaults[key])
        for key, value in entry.settings.items()
        if key in defaults and value != defaults[key] and not key.startswith((*NOT_IDENTITY, "dataset"))
    }


@cache
def _settings_of_recipe(recipe: str, model: str, dataset: str) -> dict[str, str]:
    try:
        return resolve(recipe, {"model": model, "dataset": dataset}).flat_text()
    except TinybenchError:  # of a recipe or a model that this version does not know
        return {}


@cache
def _published_metrics(recipe: str) -> dict[tuple[str, str, str], float]:
    definition = recipes.all_recipes().get(recipe)
    if definition is None:
        return {}
    config = definition.build()
    return {
        (expected.metric, expected.model or config.model, expected.phase or config.phases[-1]): expected.value
        for expected in definition.expected
        if not expected.metric.startswith("test/") or expected.split == "test"
    }
