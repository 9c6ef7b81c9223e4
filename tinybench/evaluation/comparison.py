"""Which differences are real: runs on the same test images, and models over several seeds.

Two runs differ by the images alone: McNemar's test for accuracy, a paired bootstrap for the rest. That speaks of
these runs. Two models differ by their seeds as well: then both are resampled, each model's runs and the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tinybench.evaluation import intervals, metrics
from tinybench.evaluation.answers import Answers

ALPHA = 1 - intervals.LEVEL

_FEW = 25  # discordant pairs up to which McNemar's test is exact


@dataclass(frozen=True)
class Side:
    """What is compared: the runs of one model, that differ in the seed, or a single run.

    Attributes:
        name: For people.
        runs: Answers on the same test images.
    """

    name: str
    runs: tuple[Answers, ...]


@dataclass(frozen=True)
class Estimate:
    """A figure of a side.

    Attributes:
        value: Mean over its runs.
        low: Lower end of the 95 % interval.
        high: Upper end.
        deviation: Standard deviation over its runs (ddof 1); None of a single run.
    """

    value: float
    low: float
    high: float
    deviation: float | None


@dataclass(frozen=True)
class Difference:
    """The first side less the second.

    Attributes:
        first: Name.
        second: Name.
        value: Of the figures.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p: Probability of such a difference by chance, adjusted for all comparisons of the table (Holm).
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    p: float

    @property
    def real(self) -> bool:
        """Not a tie."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Comparison:
    """All sides and all pairs.

    Attributes:
        figure: What is compared, such as `accuracy`.
        of_models: Seeds were resampled too; else it speaks of these runs alone.
        estimates: By name.
        differences: Of every pair, the better one first.
    """

    figure: str
    of_models: bool
    estimates: dict[str, Estimate]
    differences: list[Difference]


def compare(sides: Sequence[Side], figure: str = "accuracy", seed: int = 0) -> Comparison:
    """Compare every pair.

    Args:
        sides: At least two, their answers on the same images in the same order.
        figure: One of those of `intervals.contributions`, or `f1_macro`.
        seed: Of the resamples.

    Raises:
        ValueError: other images, or a figure that cannot be had of them.
    """
    _check_same(sides)
    of_models = any(len(side.runs) > 1 for side in sides)
    plain = {side.name: np.array([_figure(run, figure) for run in side.runs]) for side in sides}
    freedom = sum(len(side.runs) - 1 for side in sides)
    generator = np.random.default_rng([seed, 1])
    drawn = _drawn(sides, figure, seed)
    resampled = {side.name: _resampled(drawn[side.name], plain[side.name], freedom, generator) for side in sides}
    estimates = {
        name: Estimate(float(values.mean()), *_interval(_possible(resampled[name], figure)), _deviation(values))
        for name, values in plain.items()
    }
    ranked = sorted(sides, key=lambda side: -estimates[side.name].value * (-1 if figure in intervals.LOSSES else 1))
    found = [_difference(a, b, plain, resampled, figure, of_models) for a, b in combinations(ranked, 2)]
    return Comparison(figure, of_models, estimates, _adjusted(found))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Probability that two runs of equal accuracy disagree this unevenly; (n,) right answers of each.

    Exact for few images on which one alone is right. Source: McNemar, 1947.
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
    discordant = table[0][1] + table[1][0]
    if discordant == 0:
        return 1.0
    return float(test(table, exact=discordant <= _FEW, correction=True).pvalue)


def holm(p: Sequence[float]) -> NDArray[np.float64]:
    """Probabilities adjusted so that any false one among all is as rare as a single one was. Source: Holm, 1979."""
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p, method="holm")[1]) if len(p) else np.array([])


def _check_same(sides: Sequence[Side]) -> None:
    if len(sides) < 2:
        raise ValueError("There must be at least two to compare.")
    first = sides[0].runs[0]
    for run in (run for side in sides for run in side.runs):
        same = np.array_equal(run.rows, first.rows) and np.array_equal(run.labels, first.labels)
        if not same or run.classes != first.classes:
            raise ValueError("They were not tested on the same images.")


def _figure(run: Answers, figure: str) -> float:
    found = metrics.scores(run.labels, run.probabilities())
    if figure not in found:
        raise ValueError(f"{figure} cannot be had of these images.")
    return found[figure]


def _drawn(sides: Sequence[Side], figure: str, seed: int) -> dict[str, NDArray[np.float64]]:
    """The figure of each side's runs (runs, resamples), all on the same resamples of the images."""
    runs = [run for side in sides for run in side.runs]
    found = intervals.of_runs(runs[0].labels, [run.probabilities() for run in runs], figure, seed)
    ends = np.cumsum([len(side.runs) for side in sides])[:-1]
    return {side.name: part for side, part in zip(sides, np.split(found, ends), strict=True)}


def _resampled(
    each: NDArray[np.float64], plain: NDArray[np.float64], freedom: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """The mean over runs (runs, resamples) for each resample of the images, and of the runs where there are several."""
    count = len(each)
    averaged: NDArray[np.float64] = each.mean(axis=0)
    if count == 1:
        return averaged
    # A bootstrap of few runs spreads too little, by (n - 1) / n in variance and for Student's tails
    student = stats.t.ppf(1 - ALPHA / 2, freedom) / stats.norm.ppf(1 - ALPHA / 2)
    drawn = generator.multinomial(count, np.full(count, 1 / count), each.shape[1]).T / count
    apart = np.sqrt(count / (count - 1)) * student * ((drawn - 1 / count) * (plain - plain.mean())[:, None]).sum(axis=0)
    found: NDArray[np.float64] = averaged + apart
    return found


def _difference(
    first: Side,
    second: Side,
    plain: dict[str, NDArray[np.float64]],
    resampled: dict[str, NDArray[np.float64]],
    figure: str,
    of_models: bool,
) -> Difference:
    apart = resampled[first.name] - resampled[second.name]
    value = float(plain[first.name].mean() - plain[second.name].mean())
    if figure == "accuracy" and not of_models:
        p = mcnemar(_right(first.runs[0]), _right(second.runs[0]))
    else:
        p = _by_chance(value, apart)
    return Difference(first.name, second.name, value, *_interval(apart), p)


def _by_chance(value: float, apart: NDArray[np.float64]) -> float:
    """Probability of so large a difference, by the spread of the resamples.

    Counting resamples on the other side of 0 could not go below one in two thousand, which is nothing special among
    fifty pairs.
    """
    spread = apart.std()
    if spread == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stats.norm.sf(abs(value) / spread))


def _right(run: Answers) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = run.logits.argmax(axis=1) == run.labels
    return found


def _possible(values: NDArray[np.float64], figure: str) -> NDArray[np.float64]:
    """Within what the figure can be, which few seeds that lie far apart would leave."""
    return np.clip(values, 0, None if figure in intervals.LOSSES else 1)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _deviation(values: NDArray[Any]) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _adjusted(found: list[Difference]) -> list[Difference]:
    return [replace(each, p=float(p)) for each, p in zip(found, holm([each.p for each in found]), strict=True)]
