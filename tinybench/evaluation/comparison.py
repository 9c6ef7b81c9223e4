"""Test which differences are significant: between runs on the same test images, and between models over several seeds.

Two single runs differ by the sample of images only: McNemar's test for accuracy, a paired bootstrap for other metrics.
The result is about these runs. Two models also differ by their seeds: then the runs of each model and the images are
both resampled. Models trained with the same seeds are compared seed by seed, because they share what a seed determines
(the split, the initial weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tinybench.core.html_table import html_table
from tinybench.core.metric_text import format_metric, with_interval
from tinybench.evaluation import intervals, metrics
from tinybench.evaluation.predictions import Predictions

ALPHA = 1 - intervals.LEVEL

_MAX_EXACT = 25  # discordant images up to which McNemar's test is exact


@dataclass(frozen=True)
class RunGroup:
    """One side of a comparison: the runs of one model, which differ in the seed, or a single run.

    Attributes:
        name: Shown to the user.
        predictions: Of each run, on the same test images.
        seeds: The seed of each run, in the same order; empty where they are not known.
    """

    name: str
    predictions: tuple[Predictions, ...]
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class MetricEstimate:
    """The metric of a group of runs.

    Attributes:
        value: Mean over the runs.
        low: Lower end of the 95 % interval.
        high: Upper end.
        deviation: Standard deviation over the runs (ddof 1); None for a single run.
    """

    value: float
    low: float
    high: float
    deviation: float | None


@dataclass(frozen=True)
class Difference:
    """The difference of two groups, first minus second.

    Attributes:
        first: Name of the first group.
        second: Name of the second group.
        value: Difference of the metric.
        low: Lower end of the 95 % interval.
        high: Upper end.
        p: P-value of the difference, adjusted for all comparisons of the table (Holm).
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    p: float

    @property
    def significant(self) -> bool:
        """Return whether the adjusted p-value is below 0.05."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Comparison:
    """The estimates of all groups and the differences of all pairs.

    Attributes:
        metric: Name of the metric that is compared, such as `accuracy`.
        compares_models: Seeds were resampled as well as images; otherwise the result is about these runs only.
        estimates: By name of the group.
        differences: Of every pair, with the better group first.
    """

    metric: str
    compares_models: bool
    estimates: dict[str, MetricEstimate]
    differences: list[Difference]

    def _repr_html_(self) -> str:
        """Return a table of the estimates and one of the differences."""
        estimates = [
            (name, with_interval(estimate.value, estimate.low, estimate.high), estimate.deviation)
            for name, estimate in self.estimates.items()
        ]
        differences = [
            (
                f"{pair.first} minus {pair.second}",
                with_interval(pair.value, pair.low, pair.high, "+.4f"),
                format_metric(pair.p, ".2g"),
                "significant" if pair.significant else "tie",
            )
            for pair in self.differences
        ]
        columns = ["model" if self.compares_models else "run", f"{self.metric} [95 % interval]", "sd over seeds"]
        return html_table(columns, estimates) + html_table(
            ["difference", "value [95 % interval]", "p (Holm)", ""], differences
        )


def compare(groups: Sequence[RunGroup], metric: str = "accuracy", seed: int = 0) -> Comparison:
    """Compare every pair of groups.

    Args:
        groups: At least two, their predictions for the same images in the same order.
        metric: One of those of `intervals.image_contributions` or `metrics.COUNT_METRICS`.
        seed: Seed of the resamples.

    Raises:
        ValueError: The images differ, or the metric is not defined for them.
    """
    _check_same_images(groups)
    compares_models = any(len(group.predictions) > 1 for group in groups)
    spreads = {group.name: spread for group, spread in zip(groups, _measure_spreads(groups, metric, seed), strict=True)}
    estimates = {name: _estimate(spread, metric) for name, spread in spreads.items()}
    sign = 1 if metric in intervals.LOWER_IS_BETTER else -1
    ranked = sorted(groups, key=lambda group: sign * estimates[group.name].value)
    differences = [
        _difference(a, b, spreads[a.name], spreads[b.name], by_mcnemar=metric == "accuracy" and not compares_models)
        for a, b in combinations(ranked, 2)
    ]
    p_values = adjust_p_values([difference.p for difference in differences])
    adjusted = [replace(difference, p=float(p)) for difference, p in zip(differences, p_values, strict=True)]
    return Comparison(metric, compares_models, estimates, adjusted)


def mcnemar_p_value(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the p-value of McNemar's test of equal accuracy, exact where few images are discordant.

    Args:
        first: (n,) whether the first run is correct, by image.
        second: (n,) the same for the second run.

    Source: McNemar, 1947.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
    discordant = table[0][1] + table[1][0]
    if discordant == 0:
        return 1.0
    return float(mcnemar(table, exact=discordant <= _MAX_EXACT, correction=True).pvalue)


def adjust_p_values(p: Sequence[float]) -> NDArray[np.float64]:
    """Adjust p-values so that the probability of any false positive among them stays the same. Source: Holm, 1979."""
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p, method="holm")[1]) if len(p) else np.array([])


def _check_same_images(groups: Sequence[RunGroup]) -> None:
    if len(groups) < 2:
        raise ValueError("There must be at least two to compare.")
    first = groups[0].predictions[0]
    for run in (run for group in groups for run in group.predictions):
        same = np.array_equal(run.rows, first.rows) and np.array_equal(run.labels, first.labels)
        if not same or run.class_count != first.class_count:
            raise ValueError("They were not tested on the same images.")


@dataclass(frozen=True)
class _Spread:
    """The variation of a group's metric.

    Attributes:
        values: (runs,) the metric of each run.
        images: (resamples,) the mean over runs on each resample of the images, around the metric.
        seeds: (resamples,) the deviation of the mean that another draw of seeds adds.
        degrees: Degrees of freedom of `seeds`; 0 where seeds are not drawn.
        shared_seeds: The seeds of the runs, in order; None where they are not known.
    """

    values: NDArray[np.float64]
    images: NDArray[np.float64]
    seeds: NDArray[np.float64]
    degrees: int
    shared_seeds: tuple[int, ...] | None


def _measure_spreads(groups: Sequence[RunGroup], metric: str, seed: int) -> list[_Spread]:
    """Resample each group, all with the same resamples of the images, and equal seeds with the same resamples of them.

    The spread over seeds of a single run is unknown: it is taken to be that of the groups with several runs.
    """
    runs = [run for group in groups for run in _sort_by_seed(group)]
    values = np.array([_compute_metric(run, metric) for run in runs])
    resamples = intervals.resample_runs(runs[0].labels, [run.probabilities() for run in runs], metric, seed)
    ends = np.cumsum([len(group.predictions) for group in groups])[:-1]
    values_by_group = np.split(values, ends)
    variance, degrees = _pool_variance(values_by_group)
    spreads = []
    columns = zip(groups, values_by_group, np.split(resamples, ends), strict=True)
    for index, (group, run_values, run_resamples) in enumerate(columns):
        shared = tuple(sorted(group.seeds)) or None
        several = len(run_values) > 1
        generator = np.random.default_rng([seed, *(shared or ()), *(() if several and shared else (index, 7))])
        count = run_resamples.shape[1]
        if several:
            seeds = _resample_seeds(run_values, count, generator)
        else:
            seeds = variance**0.5 * generator.standard_normal(count)
        images = intervals.centre_resamples(metric, run_resamples.mean(axis=0), float(run_values.mean()))
        spreads.append(_Spread(run_values, images, seeds, len(run_values) - 1 if several else degrees, shared))
    return spreads


def _pool_variance(values_by_group: Sequence[NDArray[np.float64]]) -> tuple[float, int]:
    """Return the pooled variance over seeds of the groups with several runs, and its degrees of freedom; 0 of none."""
    several = [values for values in values_by_group if len(values) > 1]
    degrees = sum(len(values) - 1 for values in several)
    if not degrees:
        return 0.0, 0
    return float(sum(values.var(ddof=1) * (len(values) - 1) for values in several) / degrees), degrees


def _sort_by_seed(group: RunGroup) -> list[Predictions]:
    """Return the runs of a group in the order of their seeds, so that those of two models can be paired."""
    if not group.seeds:
        return [*group.predictions]
    pairs = sorted(zip(group.seeds, group.predictions, strict=True), key=lambda pair: pair[0])
    return [run for _, run in pairs]


def _compute_metric(run: Predictions, metric: str) -> float:
    values = metrics.classification_metrics(run.labels, run.probabilities())
    if metric not in values:
        raise ValueError(f"{metric} is not defined for these images.")
    return values[metric]


def _resample_seeds(values: NDArray[np.float64], resamples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw the runs with replacement, and return the mean of each draw minus the mean of all runs, (resamples,)."""
    count = len(values)
    weights = generator.multinomial(count, np.full(count, 1 / count), resamples) / count
    deviations = (weights - 1 / count) @ (values - values.mean())
    # The variance of a bootstrap of few runs is too small by (n - 1) / n
    return np.asarray(np.sqrt(count / (count - 1)) * deviations)


def _estimate(spread: _Spread, metric: str) -> MetricEstimate:
    values = spread.values
    resamples, _ = _combine(spread.images, spread.seeds, spread.degrees)
    value = float(values.mean())
    ends = (intervals.clip_to_range(metric, end) for end in _interval(resamples))
    low, high = intervals.include_value(value, *ends)
    return MetricEstimate(value, low, high, float(values.std(ddof=1)) if len(values) > 1 else None)


def _difference(first: RunGroup, second: RunGroup, a: _Spread, b: _Spread, *, by_mcnemar: bool) -> Difference:
    images, seeds = a.images - b.images, a.seeds - b.seeds
    resamples, degrees = _combine(images, seeds, _degrees_of_difference(a, b))
    value = float(a.values.mean() - b.values.mean())
    if by_mcnemar:
        runs = first.predictions[0], second.predictions[0]
        p = mcnemar_p_value(*(run.logits.argmax(axis=1) == run.labels for run in runs))
    else:
        p = _p_value(value, float(np.hypot(images.std(), seeds.std())), degrees)
    return Difference(first.name, second.name, value, *_interval(resamples), p)


def _combine(
    images: NDArray[np.float64], seeds: NDArray[np.float64], degrees: float
) -> tuple[NDArray[np.float64], float]:
    """Add the resamples of images and seeds, widened as Student's t requires where few runs estimate the variance.

    Returns:
        The resamples, and the degrees of freedom of their variance by Welch and Satterthwaite: many where the images
        dominate, those of the seeds where the seeds do.
    """
    total_variance, seed_variance = float(images.var() + seeds.var()), float(seeds.var())
    if not degrees or not seed_variance:
        return images + seeds, np.inf
    total_degrees = total_variance**2 / (seed_variance**2 / degrees)
    factor = stats.t.ppf(1 - ALPHA / 2, total_degrees) / stats.norm.ppf(1 - ALPHA / 2)
    centre = images.mean()
    return centre + factor * (images - centre + seeds), total_degrees


def _degrees_of_difference(a: _Spread, b: _Spread) -> float:
    """Return the degrees of freedom of the seeds: those of the pairs where the seeds are the same, else Welch's."""
    if a.shared_seeds is not None and a.shared_seeds == b.shared_seeds:
        return a.degrees
    terms = [(float(spread.seeds.var()), spread.degrees) for spread in (a, b) if spread.degrees]
    total = sum(variance for variance, _ in terms)
    if not total:
        return float(sum(degrees for _, degrees in terms))
    return float(total**2 / sum(variance**2 / degrees for variance, degrees in terms))


def _p_value(value: float, spread: float, degrees: float) -> float:
    """Return the two-sided p-value of a difference, by the standard deviation of its resamples.

    Counting the resamples on the other side of 0 could not give less than one in two thousand, which is not small among
    fifty pairs.
    """
    if spread == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stats.t.sf(abs(value) / spread, degrees))


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [ALPHA / 2, 1 - ALPHA / 2])
    return float(low), float(high)
