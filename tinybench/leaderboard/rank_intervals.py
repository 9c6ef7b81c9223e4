"""The ranks that each model may have, and the models that may be the best."""

from __future__ import annotations

from collections.abc import Sequence

from tinybench.leaderboard.pairs import Pair


def find_rank_intervals(names: Sequence[str], pairs: Sequence[Pair]) -> dict[str, tuple[int, int]]:
    """Return the lowest and the highest rank of each model, 1 for the best, which hold for all models at once.

    A model is behind each one that is better than it beyond chance, and before each one that it is better than. With
    simultaneous intervals of the differences, all intervals of ranks hold in 95 % of boards.

    Args:
        names: The models.
        pairs: All pairs of them, as `pairs.conclude_pairs` returns them.

    Source: Mogstad, Romano, Shaikh and Wilhelm, 2024, doi 10.1093/restud/rdad006.
    """
    differing = [pair for pair in pairs if pair.low > 0]
    return {
        name: (
            1 + sum(pair.second == name for pair in differing),
            len(names) - sum(pair.first == name for pair in differing),
        )
        for name in names
    }


def find_possibly_best(intervals: dict[str, tuple[int, int]]) -> list[str]:
    """Return the models that may be the best: the best one is among them in 95 % of boards.

    Args:
        intervals: The ranks of each model, as `find_rank_intervals` returns them.
    """
    return [name for name, (lowest, _) in intervals.items() if lowest == 1]
