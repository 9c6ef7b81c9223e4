"""Find how far apart two models of a board must be, so that few boards of equal models show any difference.

Differences are measured in standard errors and written as scores of the normal distribution. The largest score among
all pairs, and among all looks at a board to which seeds are added, exceeds the critical value in 5 % of the boards of
equal models. It is found by simulation, because all pairs share models, and all looks share their test images and
their first seeds: a correction that ignores this, such as Bonferroni's, is much larger.

Seeds are added because a pair is unresolved, until a difference shows: there the looks count. Whether a difference is
smaller than the margin is judged at the present look alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinybench.leaderboard.model_estimates import ModelEstimates
from tinybench.leaderboard.seed_variance import SeedVariance, moderate

ALPHA = 0.05
LOOKS = (3, 20)
"""The first and the last number of seeds at which a board may be looked at: the plan by which errors are bounded."""

_SIMULATIONS = 4_000
# Of the errors that are allowed at all looks, where variances over seeds are estimated: the simulation takes them to be
# true, which makes more errors. With .85, two equal models were told apart in .056 of 2,000 boards, with .7 in .048
_SHARE_OF_ESTIMATED = 0.7


@dataclass(frozen=True)
class CriticalValues:
    """The scores from which differences count.

    Attributes:
        difference: Of a difference in either direction.
        equivalence: Of a difference that is smaller than the margin, in each direction.
    """

    difference: float
    equivalence: float


def find_critical_values(estimates: ModelEstimates, seed: int = 0) -> CriticalValues:
    """Return the critical values of a board.

    Args:
        estimates: Its models.
        seed: Seed of the simulation.
    """
    models = len(estimates.names)
    first, second = np.triu_indices(models, 1)
    if not len(first):
        return CriticalValues(np.inf, np.inf)
    largest, present = np.zeros(_SIMULATIONS), np.zeros(_SIMULATIONS)
    for scores, is_present in _simulate_looks(estimates, first, second, np.random.default_rng(seed)):
        np.maximum(largest, np.abs(scores).max(axis=1), out=largest)
        if is_present:
            # Of one pair only one side can be wrong; of many, which sides can be is not known
            present = scores[:, 0] if len(first) == 1 else np.abs(scores).max(axis=1)
    level = 1 - ALPHA * (_SHARE_OF_ESTIMATED if estimates.compares_models else 1)
    return CriticalValues(float(np.quantile(largest, level)), float(np.quantile(present, 1 - ALPHA)))


def to_scores(t: NDArray[np.float64], degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal scores with the same tail probabilities as values of Student's t.

    Source: Wallace, 1959, doi 10.1214/aoms/1177706092; accurate to some hundredths from three degrees on.
    """
    with np.errstate(invalid="ignore"):
        scores = np.sign(t) * np.sqrt(degrees * np.log1p(t**2 / degrees)) * (8 * degrees + 1) / (8 * degrees + 3)
    return np.where(np.isinf(degrees), t, scores)


def from_score(score: float, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values of Student's t with the same tail probability as a normal score: `to_scores` reversed."""
    with np.errstate(over="ignore", invalid="ignore"):
        t = np.sqrt(degrees * np.expm1((score * (8 * degrees + 3) / (8 * degrees + 1)) ** 2 / degrees))
    return np.where(np.isinf(degrees), score, t)


def standard_errors(
    image_variance: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64],
    first_degrees: NDArray[np.float64], second_degrees: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Return the standard errors of differences, and their degrees of freedom.

    Args:
        image_variance: Variance of the difference over draws of images, which counts as known.
        first: Variance of the first mean over draws of seeds.
        second: That of the second mean.
        first_degrees: Degrees of freedom of `first`.
        second_degrees: Those of `second`.

    Source: Welch, 1947, and Satterthwaite, 1946.
    """
    variance = image_variance + first + second
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [
            np.where(variances > 0, variances**2 / degrees, 0)
            for variances, degrees in ((first, first_degrees), (second, second_degrees))
        ]
        uncertain = shares[0] + shares[1]
        degrees = np.where(uncertain > 0, variance**2 / uncertain, np.inf)
    return np.sqrt(variance), degrees


def _simulate_looks(
    estimates: ModelEstimates, first: NDArray[np.intp], second: NDArray[np.intp], generator: np.random.Generator
) -> Iterator[tuple[NDArray[np.float64], bool]]:
    """Yield (simulations, pairs) scores of the differences of equal models at each look, and if it is the present."""
    covariance = estimates.image_covariance
    images = _draw_normal(covariance, generator)
    variance = variances_of_differences(covariance, first, second)
    if not estimates.compares_models:
        yield divide(images[:, first] - images[:, second], np.sqrt(variance)), True
        return
    seeds, several = estimates.seeds, estimates.runs[estimates.runs > 1]
    begin, end = min(LOOKS[0], int(several.min())), max(LOOKS[1], int(several.max()))
    present = int(np.median(several))
    sums, squares = np.zeros_like(images), np.zeros_like(images)
    for runs in range(1, end + 1):
        draws = np.sqrt(seeds.values) * generator.standard_normal(images.shape)
        sums += draws
        squares += draws**2
        if runs < begin:
            continue
        means = images + sums / runs
        seed_variances, degrees = _estimate_again(seeds, (squares - sums**2 / runs) / (runs - 1), runs)
        of_means = seed_variances / runs
        errors, total = standard_errors(
            variance, of_means[:, first], of_means[:, second], degrees[first], degrees[second]
        )
        yield to_scores(divide(means[:, first] - means[:, second], errors), total), runs == present


def _draw_normal(covariance: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return (simulations, models) normal deviates; an estimated covariance may be slightly indefinite."""
    values, vectors = np.linalg.eigh(covariance)
    factor = vectors * np.sqrt(np.maximum(values, 0))
    return np.asarray(generator.standard_normal((_SIMULATIONS, len(values))) @ factor.T)


def _estimate_again(
    seeds: SeedVariance, variances: NDArray[np.float64], runs: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the variances over seeds of simulated boards, moderated as those of the board, and their degrees."""
    own_degrees = np.full(len(seeds.values), runs - 1.0)
    shares = divide(variances, np.broadcast_to(seeds.values, variances.shape))
    prior = seeds.prior * shares.mean(axis=1, keepdims=True)
    return moderate(variances, own_degrees, prior, seeds.prior_degrees)


def variances_of_differences(
    covariance: NDArray[np.float64], first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return (pairs,) variances of the differences of two means, from the covariance of all."""
    diagonal = np.diag(covariance)
    return np.maximum(diagonal[first] + diagonal[second] - 2 * covariance[first, second], 0)


def divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; 0 by 0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(numerator == 0, 0.0, numerator / denominator)
