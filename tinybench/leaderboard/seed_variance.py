"""Estimate the variance over seeds of each model, from few runs of each and from those of all models together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEAST_MODELS = 3  # with several runs, from which the variances of all say something about each
# Degrees of freedom for which the variance of all models counts in that of each. It is fixed: estimated from few
# variances, as in limma, it is large or small by chance, and then so are the differences that a board finds
_PRIOR_DEGREES = 4.0


@dataclass(frozen=True)
class SeedVariance:
    """The variance over seeds of each model.

    Attributes:
        values: (models,) variance of a run; 0 where no model has several runs.
        degrees: (models,) degrees of freedom of each; 0 where no model has several runs.
        prior: The variance of all models.
        prior_degrees: Degrees of freedom for which `prior` counts in each model.
    """

    values: Floats
    degrees: Floats
    prior: float
    prior_degrees: float

    def degrees_of(self, runs: NDArray[np.int_]) -> Floats:
        """Return (models,) degrees of freedom that the variances would have after other numbers of runs of each."""
        own_degrees = np.maximum(runs - 1.0, 0.0)
        if self.prior_degrees == 0:
            return np.asarray(own_degrees)
        return np.asarray(np.minimum(self.prior_degrees + own_degrees, own_degrees.sum()))


def estimate_seed_variance(variances: Floats, runs: NDArray[np.int_]) -> SeedVariance:
    """Estimate the variance over seeds of each model, moderated by that of all models.

    The variance of five runs is known within a factor of three, so each is drawn towards that of all models, the less
    the more runs the model has. A model with one run gets that of all.

    Args:
        variances: (models,) variance over the runs of each model (ddof 1); ignored for models with one run.
        runs: (models,) number of runs.

    Source: the moderated variance of Smyth, 2004, doi 10.2202/1544-6115.1027, with fixed degrees of the prior.
    """
    own_degrees = (runs - 1).astype(np.float64)
    several = own_degrees > 0
    if not several.any():
        return SeedVariance(np.zeros(len(runs)), np.zeros(len(runs)), 0.0, 0.0)
    own = np.where(several, variances, 0.0)
    total = float(own_degrees.sum())
    pooled = float(own @ own_degrees / total)
    if several.sum() < _LEAST_MODELS:
        values, degrees = np.where(several, own, pooled), np.where(several, own_degrees, total)
        return SeedVariance(values, degrees, pooled, 0.0)
    return SeedVariance(*moderate(own, own_degrees, pooled, _PRIOR_DEGREES), pooled, _PRIOR_DEGREES)


def moderate(own: Floats, own_degrees: Floats, prior: Floats | float, prior_degrees: float) -> tuple[Floats, Floats]:
    """Return variances that are drawn towards another one, and their degrees of freedom.

    Args:
        own: (…, models) variance over the runs of each model.
        own_degrees: (models,) their degrees of freedom.
        prior: The other variance.
        prior_degrees: Degrees of freedom for which it counts.
    """
    if prior_degrees == 0:
        return own, own_degrees
    degrees = prior_degrees + own_degrees
    return (prior_degrees * prior + own_degrees * own) / degrees, np.minimum(degrees, own_degrees.sum())
