"""Estimate the metric of each model, with what draws of images and of seeds change of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinybench.leaderboard.seed_variance import SeedVariance, estimate_seed_variance

# Images on which each model may have been right or wrong by luck: two models that agree on all of n images may still
# differ by 3 / n (the rule of three), which no variance that is estimated from them shows. Where images have weights,
# they may be those that weigh most
_UNSEEN = 2


@dataclass(frozen=True)
class ModelEstimates:
    """The metric of several models on the same test images.

    Attributes:
        names: The models.
        values: (models,) mean over the runs of each.
        runs: (models,) number of runs, which differ in the seed.
        deviations: (models,) standard deviation over the runs (ddof 1); NaN for a model with one run.
        image_covariance: (models, models) covariance of the means over draws of the test images.
        seeds: The variance over seeds.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    runs: NDArray[np.int_]
    deviations: NDArray[np.float64]
    image_covariance: NDArray[np.float64]
    seeds: SeedVariance = field(repr=False)

    @property
    def compares_models(self) -> bool:
        """Return whether seeds are drawn as well as images; otherwise all that is said is about these runs."""
        return bool((self.runs > 1).any())


def estimate_models(
    names: Sequence[str],
    scores: Sequence[NDArray[np.floating]],
    *,
    classes: NDArray[np.integer] | None = None,
    weight_of_image: float = 1.0,
) -> ModelEstimates:
    """Estimate a metric that is a mean over images.

    Args:
        names: The models.
        scores: For each model (runs, images): the value of each image in each run, such as 1 where it is correct. The
            images are the same in all.
        classes: (images,) the class of each image, if the metric is a mean over classes: how many images of each class
            are drawn changes nothing of it. None if all images count alike.
        weight_of_image: What one image may change of the sum of the scores, see `ranking_metrics`.

    Raises:
        ValueError: There are no models, or they have different images.
    """
    if not names or len(names) != len(scores) or len({runs.shape[1] for runs in scores}) != 1:
        raise ValueError("Expected the scores of each model on the same images.")
    by_image = np.stack([runs.mean(axis=0, dtype=np.float64) for runs in scores])
    images = by_image.shape[1]
    centred, has_several = _centre_classes(by_image, np.zeros(images, int) if classes is None else classes)
    # What a seed changes of single images is part of the variance over seeds already
    changed = [(runs.var(axis=0, ddof=1) * has_several).mean() / len(runs) if len(runs) > 1 else 0.0 for runs in scores]
    covariance = centred @ centred.T / images - np.diag(changed)
    unseen = _UNSEEN * weight_of_image**2 * np.eye(len(names)) / images**2
    run_values = [runs.mean(axis=1, dtype=np.float64) for runs in scores]
    return from_runs(names, run_values, covariance / images + unseen)


def _centre_classes(
    by_image: NDArray[np.float64], classes: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores less the mean of their class, scaled so that their mean square is the variance within classes.

    Args:
        by_image: (models, images) scores.
        classes: (images,) class of each image. Nothing is known of the variance in a class with one image.

    Returns:
        (models, images) scores, and (images,) whether the class of each image has several.
    """
    _, index, counts = np.unique(classes, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(index, weights=row) for row in by_image]) / counts
    scale = np.sqrt(counts / np.maximum(counts - 1, 1))
    return (by_image - means[:, index]) * scale[index], (counts > 1)[index]


def from_runs(
    names: Sequence[str], run_values: Sequence[NDArray[np.floating]], image_covariance: NDArray[np.float64]
) -> ModelEstimates:
    """Estimate a metric from that of each run.

    Args:
        names: The models.
        run_values: For each model (runs,): the metric.
        image_covariance: (models, models) covariance of the means over draws of the test images.
    """
    runs = np.array([len(values) for values in run_values])
    variances = np.array([values.var(ddof=1) if len(values) > 1 else np.nan for values in run_values])
    return ModelEstimates(
        tuple(names),
        np.array([values.mean() for values in run_values], np.float64),
        runs,
        np.sqrt(variances),
        np.asarray(image_covariance, np.float64),
        estimate_seed_variance(variances, runs),
    )
