"""The published metrics of a model of a board."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tinybench import recipes
from tinybench.leaderboard.ranking_metrics import METRICS

if TYPE_CHECKING:
    from tinybench.leaderboard.dataset_board import BoardRow


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
