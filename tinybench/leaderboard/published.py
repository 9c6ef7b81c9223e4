"""The published metrics of a model of a board."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from tinybench import recipes

if TYPE_CHECKING:
    from tinybench.leaderboard.board import BoardRow


def find_published(row: BoardRow, metric: str) -> float | None:
    """Return what was published for a model after its phase; None if nothing was.

    Args:
        row: The model.
        metric: A metric such as `test/accuracy`.
    """
    first = row.entries[0]
    return _published_metrics(first.recipe).get((metric, first.model, first.phase))


def is_reproduced(row: BoardRow) -> bool | None:
    """Return whether the published accuracy on test images is within the interval; None if none was published."""
    published = find_published(row, "test/accuracy")
    return None if published is None else row.low <= published <= row.high


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
