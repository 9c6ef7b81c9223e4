"""Estimate the variance over seeds of each model, from few runs of each and from those of all models together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

Floats = NDArray[np.float64]

_LEAST_MODELS = 3  # from which variances are moderated: the spread of two says nothing
_SMALLEST_SHARE = 1e-5  # of the median variance: the logarithm of 0 is not finite


@dataclass(frozen=True)
class SeedVariance:
    """The variance over seeds of each model.

    Attributes:
        values: (models,) variance of a run; 0 where no model has several runs.
        degrees: (models,) degrees of freedom of each; 0 where no model has several runs.
        prior: The variance that is typical of all models.
        prior_degrees: How many degrees of freedom `prior` counts for in each model; infinite where the variances differ
            no more than chance makes them.
    """

    values: Floats
    degrees: Floats
    prior: float
    prior_degrees: float


def estimate_seed_variance(variances: Floats, runs: NDArray[np.int_]) -> SeedVariance:
    """Estimate the variance over seeds, moderated by that of all models.

    The variance of five runs is known within a factor of three. Models share what they have in common: each variance is
    drawn towards a typical one, the more the less the variances differ. A model with one run gets the typical one.

    Args:
        variances: (models,) variance over the runs of each model (ddof 1); ignored for models with one run.
        runs: (models,) number of runs.

    Source: Smyth, 2004, doi 10.2202/1544-6115.1027; the degrees are limited as in its implementation limma.
    """
    own_degrees = (runs - 1).astype(np.float64)
    several = own_degrees > 0
    total = float(own_degrees.sum())
    if not several.any():
        return SeedVariance(np.zeros(len(runs)), np.zeros(len(runs)), 0.0, 0.0)
    own = np.where(several, variances, 0.0)
    pooled = float(own @ own_degrees / total)
    if several.sum() < _LEAST_MODELS or pooled == 0:
        values, degrees = np.where(several, own, pooled), np.where(several, own_degrees, total)
        return SeedVariance(values, degrees, pooled, 0.0)
    prior, prior_degrees = _fit_prior(own[several], own_degrees[several], pooled)
    return SeedVariance(*moderate(own, own_degrees, prior, prior_degrees), prior, prior_degrees)


def moderate(own: Floats, own_degrees: Floats, prior: Floats | float, prior_degrees: float) -> tuple[Floats, Floats]:
    """Return variances that are drawn towards a typical one, and their degrees of freedom.

    Args:
        own: (…, models) variance over the runs of each model.
        own_degrees: (models,) their degrees of freedom.
        prior: The typical variance.
        prior_degrees: How many degrees of freedom it counts for.
    """
    total = own_degrees.sum()
    if np.isinf(prior_degrees):
        return np.broadcast_to(prior, own.shape).astype(np.float64), np.full(own.shape[-1], total)
    if prior_degrees == 0:
        return own, own_degrees
    values = (prior_degrees * prior + own_degrees * own) / (prior_degrees + own_degrees)
    return values, np.minimum(prior_degrees + own_degrees, total)


def _fit_prior(variances: Floats, degrees: Floats, pooled: float) -> tuple[float, float]:
    """Return the typical variance and its degrees of freedom, from how much the logarithms of the variances differ."""
    safe = np.maximum(variances, _SMALLEST_SHARE * (np.median(variances) or pooled))
    logarithms = np.log(safe) - digamma(degrees / 2) + np.log(degrees / 2)
    excess = float(logarithms.var(ddof=1) - polygamma(1, degrees / 2).mean())
    if excess <= 0:
        return pooled, np.inf
    prior_degrees = 2 * _invert_trigamma(excess)
    typical = logarithms.mean() + digamma(prior_degrees / 2) - np.log(prior_degrees / 2)
    return float(np.exp(typical)), prior_degrees


def _invert_trigamma(value: float) -> float:
    low, high = 1e-6, 1e6  # trigamma falls from 1e12 to 1e-6
    if value <= polygamma(1, high):
        return high
    return float(brentq(lambda argument: float(polygamma(1, argument)) - value, low, high))
