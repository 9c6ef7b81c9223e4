"""Which differences are real: runs on the same test images, and models over several seeds.

Two runs differ by the images alone: McNemar's test for accuracy, a paired bootstrap for the rest. That speaks of
these runs. Two models differ by their seeds as well: then both are resampled, each model's runs and the images; models
that were trained with the same seeds are compared seed by seed, since what a seed decides (the split, the first
weights) is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tinybench.evaluation import intervals, metrics
from tinybench.evaluation.predictions import Answers

ALPHA = 1 - intervals.LEVEL

_FEW = 25  # discordant pairs up to which McNemar's test is exact


@dataclass(frozen=True)
class Side:
    """What is compared: the runs of one model, that differ in the seed, or a single run.

    Attributes:
        name: For people.
        runs: Answers on the same test images.
        seeds: Of each run, in the same order; none where they are not known.
    """

    name: str
    runs: tuple[Answers, ...]
    seeds: tuple[int, ...] = ()


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
        figure: One of those of `intervals.contributions` or `metrics.OF_COUNTS`.
        seed: Of the resamples.

    Raises:
        ValueError: other images, or a figure that cannot be had of them.
    """
    _check_same(sides)
    of_models = any(len(side.runs) > 1 for side in sides)
    spreads = {side.name: spread for side, spread in zip(sides, _spreads(sides, figure, seed), strict=True)}
    estimates = {name: _estimate(spread, figure) for name, spread in spreads.items()}
    ranked = sorted(sides, key=lambda side: -estimates[side.name].value * (-1 if figure in intervals.LOSSES else 1))
    found = [
        _difference(a, b, spreads[a.name], spreads[b.name], by_mcnemar=figure == "accuracy" and not of_models)
        for a, b in combinations(ranked, 2)
    ]
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


@dataclass(frozen=True)
class _Spread:
    """How a side's figure varies.

    Attributes:
        plain: (runs,) of each run.
        images: (resamples,) the mean over runs on each resample of the images, around the figure.
        seeds: (resamples,) what another draw of seeds adds to it.
        freedom: Degrees of freedom of the latter; 0 where seeds are not drawn.
        shared: The runs' seeds, in order; None where they are not known.
    """

    plain: NDArray[np.float64]
    images: NDArray[np.float64]
    seeds: NDArray[np.float64]
    freedom: int
    shared: tuple[int, ...] | None


def _spreads(sides: Sequence[Side], figure: str, seed: int) -> list[_Spread]:
    """That of each side, all on the same resamples of the images, and the same seeds on the same resamples of them.

    A single run beside others says nothing of its seeds: they are taken to vary as those of the others do.
    """
    runs = [run for side in sides for run in _ordered(side)]
    plain = np.array([_figure(run, figure) for run in runs])
    drawn = intervals.of_runs(runs[0].labels, [run.probabilities() for run in runs], figure, seed)
    ends = np.cumsum([len(side.runs) for side in sides])[:-1]
    figures = np.split(plain, ends)
    variance, freedom = _pooled(figures)
    found = []
    for place, (side, own, each) in enumerate(zip(sides, figures, np.split(drawn, ends), strict=True)):
        shared = tuple(sorted(side.seeds)) or None
        several = len(own) > 1
        generator = np.random.default_rng([seed, *(shared or ()), *(() if several and shared else (place, 7))])
        count = each.shape[1]
        seeds = _of_seeds(own, count, generator) if several else variance**0.5 * generator.standard_normal(count)
        images = intervals.centred(figure, each.mean(axis=0), float(own.mean()))
        found.append(_Spread(own, images, seeds, len(own) - 1 if several else freedom, shared))
    return found


def _pooled(figures: Sequence[NDArray[np.float64]]) -> tuple[float, int]:
    """Variance over seeds, of all sides with several runs together, and its degrees of freedom; 0 where none has."""
    several = [values for values in figures if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    if not freedom:
        return 0.0, 0
    return float(sum(values.var(ddof=1) * (len(values) - 1) for values in several) / freedom), freedom


def _ordered(side: Side) -> list[Answers]:
    """The runs by their seeds, so that those of two models lie side by side."""
    if not side.seeds:
        return [*side.runs]
    return [run for _, run in sorted(zip(side.seeds, side.runs, strict=True), key=lambda each: each[0])]


def _figure(run: Answers, figure: str) -> float:
    found = metrics.scores(run.labels, run.probabilities())
    if figure not in found:
        raise ValueError(f"{figure} cannot be had of these images.")
    return found[figure]


def _of_seeds(plain: NDArray[np.float64], resamples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """What the mean of as many runs, drawn with replacement, is above the mean of all."""
    count = len(plain)
    drawn = generator.multinomial(count, np.full(count, 1 / count), resamples) / count
    above = (drawn - 1 / count) @ (plain - plain.mean())
    # A bootstrap of few runs spreads too little, by (n - 1) / n in variance
    return np.asarray(np.sqrt(count / (count - 1)) * above)


def _estimate(spread: _Spread, figure: str) -> Estimate:
    values = spread.plain
    drawn, _ = _widened(spread.images, spread.seeds, spread.freedom)
    value = float(values.mean())
    low, high = intervals.holding(value, *(intervals.possible(figure, end) for end in _interval(drawn)))
    return Estimate(value, low, high, float(values.std(ddof=1)) if len(values) > 1 else None)


def _difference(first: Side, second: Side, one: _Spread, other: _Spread, *, by_mcnemar: bool) -> Difference:
    seeds = one.seeds - other.seeds
    apart, freedom = _widened(one.images - other.images, seeds, _freedom(one, other))
    value = float(one.plain.mean() - other.plain.mean())
    spread = float(np.hypot((one.images - other.images).std(), seeds.std()))
    p = mcnemar(_right(first.runs[0]), _right(second.runs[0])) if by_mcnemar else _by_chance(value, spread, freedom)
    return Difference(first.name, second.name, value, *_interval(apart), p)


def _widened(
    images: NDArray[np.float64], seeds: NDArray[np.float64], freedom: float
) -> tuple[NDArray[np.float64], float]:
    """Resamples of both, as wide as Student's tails: few runs say little of how much seeds matter.

    Returns:
        The resamples, and the degrees of freedom of their spread, by Welch and Satterthwaite: many where the images
        decide, those of the seeds where these do.
    """
    both, of_seeds = float(images.var() + seeds.var()), float(seeds.var())
    if not freedom or not of_seeds:
        return images + seeds, np.inf
    total = both**2 / (of_seeds**2 / freedom)
    wider = stats.t.ppf(1 - ALPHA / 2, total) / stats.norm.ppf(1 - ALPHA / 2)
    centre = images.mean()
    return centre + wider * (images - centre + seeds), total


def _freedom(one: _Spread, other: _Spread) -> float:
    """Of the seeds' part of a difference of two means: of pairs where the seeds are the same, else Welch's."""
    if one.shared is not None and one.shared == other.shared:
        return one.freedom
    parts = [(float(each.seeds.var()), each.freedom) for each in (one, other) if each.freedom]
    total = sum(variance for variance, _ in parts)
    if not total:
        return float(sum(freedom for _, freedom in parts))
    return float(total**2 / sum(variance**2 / freedom for variance, freedom in parts))


def _by_chance(value: float, spread: float, freedom: float) -> float:
    """Probability of so large a difference, by the spread of the resamples.

    Counting resamples on the other side of 0 could not go below one in two thousand, which is nothing special among
    fifty pairs.
    """
    if spread == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stats.t.sf(abs(value) / spread, freedom))


def _right(run: Answers) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = run.logits.argmax(axis=1) == run.labels
    return found


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)


def _adjusted(found: list[Difference]) -> list[Difference]:
    return [replace(each, p=float(p)) for each, p in zip(found, holm([each.p for each in found]), strict=True)]
