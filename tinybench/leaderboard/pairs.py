"""Conclude of each pair of models whether one is better, whether they are equivalent, or that it is not known yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tinybench.leaderboard import critical_value
from tinybench.leaderboard.critical_value import CriticalValues
from tinybench.leaderboard.model_estimates import ModelEstimates

Conclusion = Literal["better", "equivalent", "unresolved"]

_MOST_SEEDS = 100  # of which it is said that so many would settle a pair


@dataclass(frozen=True)
class Pair:
    """The difference of two models, the one with the better metric first.

    Attributes:
        first: The better model.
        second: The other one.
        value: How much better `first` is, at least 0.
        low, high: The simultaneous 95 % interval: the intervals of all pairs hold at once.
        conclusion: `equivalent` if the difference is smaller than the margin, `better` if it is more than 0 and not
            equivalent, else `unresolved`.
        seeds_needed: The number of seeds of each model from which an unresolved pair is expected to be settled, if the
            difference stays as it is; None if it is settled, or if more seeds would not settle it.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    conclusion: Conclusion
    seeds_needed: int | None = None


def conclude_pairs(
    estimates: ModelEstimates,
    margin: float,
    *,
    lower_is_better: bool = False,
    critical: CriticalValues | None = None,
    largest: float = np.inf,
) -> list[Pair]:
    """Conclude of all pairs of a board, so that in 5 % of boards at most anything is wrong.

    Args:
        estimates: The models.
        margin: The largest difference that does not matter, in the unit of the metric.
        lower_is_better: Whether a model with a lower metric is better.
        critical: The critical values of the board, to save finding them.
        largest: The largest difference that there can be, at which intervals end: 1 for shares.

    Returns:
        The pairs, sorted by their better model and then by the other one.
    """
    order = rank_models(estimates, lower_is_better=lower_is_better)
    first, second = (order[index] for index in np.triu_indices(len(order), 1))
    if not len(first):
        return []
    critical = critical or critical_value.find_critical_values(estimates)
    values = np.abs(estimates.values[first] - estimates.values[second])
    errors, degrees = _errors(estimates, first, second, estimates.runs, estimates.seeds.degrees)
    half = _half_width(critical.difference, errors, degrees)
    half_equivalence = _half_width(critical.equivalence, errors, degrees)
    conclusions = [_conclude(*row, margin) for row in zip(values, half, half_equivalence, strict=True)]
    needed = _count_seeds_needed(estimates, first, second, values, critical, margin)
    return [
        Pair(
            estimates.names[first[index]],
            estimates.names[second[index]],
            float(values[index]),
            float(max(values[index] - half[index], -largest)),
            float(min(values[index] + half[index], largest)),
            conclusion,
            needed[index] if conclusion == "unresolved" else None,
        )
        for index, conclusion in enumerate(conclusions)
    ]


def rank_models(estimates: ModelEstimates, *, lower_is_better: bool = False) -> NDArray[np.intp]:
    """Return the indices of the models, the best first."""
    return np.argsort(estimates.values if lower_is_better else -estimates.values, kind="stable")


def _errors(
    estimates: ModelEstimates,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    runs: NDArray[np.int_],
    seed_degrees: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    variance = critical_value.variances_of_differences(estimates.image_covariance, first, second)
    of_means = estimates.seeds.values / runs
    return critical_value.standard_errors(
        variance, of_means[first], of_means[second], seed_degrees[first], seed_degrees[second]
    )


def _half_width(score: float, errors: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(critical_value.from_score(score, degrees) * errors)


def _conclude(value: float, half: float, half_equivalence: float, margin: float) -> Conclusion:
    if value + half_equivalence < margin:
        return "equivalent"
    return "better" if value > half else "unresolved"


def _count_seeds_needed(
    estimates: ModelEstimates,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    values: NDArray[np.float64],
    critical: CriticalValues,
    margin: float,
) -> list[int | None]:
    """Return for each pair the number of seeds from which a conclusion is expected; None where none would do."""
    needed: list[int | None] = [None] * len(values)
    if not estimates.compares_models:
        return needed
    for seeds in range(_MOST_SEEDS, 1, -1):
        runs = np.maximum(estimates.runs, seeds)
        errors, degrees = _errors(estimates, first, second, runs, estimates.seeds.degrees_of(runs))
        half, half_equivalence = (
            _half_width(score, errors, degrees) for score in (critical.difference, critical.equivalence)
        )
        settled = (values + half_equivalence < margin) | (values > half)
        more = (runs > estimates.runs)[first] | (runs > estimates.runs)[second]
        for index in np.flatnonzero(settled & more):
            needed[index] = seeds
    return needed
