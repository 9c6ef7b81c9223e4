"""Rank models over several data sets, by their average rank on those that all of them have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tinybench.leaderboard.critical_value import ALPHA
from tinybench.leaderboard.dataset_board import DatasetBoard
from tinybench.leaderboard.ranking_metrics import METRICS


@dataclass(frozen=True)
class AverageRanks:
    """The average ranks of models over data sets.

    Attributes:
        datasets: The data sets.
        ranks: The average rank of each model that is on all boards, by its name, the best first.
        critical_difference: The difference from which two average ranks differ beyond chance.
        left_out: Models that lack a data set: nothing is put in its place.
    """

    datasets: tuple[str, ...]
    ranks: dict[str, float]
    critical_difference: float
    left_out: tuple[str, ...]


def average_ranks(boards: Sequence[DatasetBoard]) -> AverageRanks | None:
    """Return the average ranks over boards; None unless two models are on two boards of different data sets.

    A rank is that of the mean metric among the models that all boards have; equal means share their ranks.

    Source: Demšar, 2006, Journal of Machine Learning Research 7, with Nemenyi's critical difference.
    """
    by_dataset = {board.dataset: board for board in reversed(boards) if board.rows}  # the largest of each data set
    if len(by_dataset) < 2:
        return None
    values = [{row.name: row.value for row in board.rows} for board in by_dataset.values()]
    every = list(dict.fromkeys(name for board in values for name in board))
    common = [name for name in every if all(name in board for board in values)]
    if len(common) < 2:
        return None
    sign = 1 if METRICS[boards[0].metric].lower_is_better else -1
    by_board = [stats.rankdata([sign * board[name] for name in common]) for board in values]
    means = dict(zip(common, np.mean(by_board, axis=0), strict=True))
    models = len(common)
    critical = stats.studentized_range.ppf(1 - ALPHA, models, np.inf) / np.sqrt(2)
    return AverageRanks(
        tuple(by_dataset),
        {name: float(rank) for name, rank in sorted(means.items(), key=lambda item: item[1])},
        float(critical * np.sqrt(models * (models + 1) / (6 * len(by_dataset)))),
        tuple(name for name in every if name not in common),
    )
