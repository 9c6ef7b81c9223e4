"""A model judged: its figures with intervals, calibrated on other images than it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tinybench.evaluation import calibration, intervals, metrics
from tinybench.evaluation.predictions import Answers


@dataclass(frozen=True)
class Judgement:
    """What is known of a model from its answers.

    Attributes:
        answers: On the images that it is judged by.
        temperature: Fitted on the validation images; 1 without them.
        figures: By name, such as `accuracy`, `accuracy_low`, `accuracy_high` (95 % interval) and `ece_scaled` (at
            the temperature).
        by_class: Figures of each class.
        confusion: (classes, classes) images, true classes in rows.
        by_superclass: Share of right superclasses on the images of each, where there are superclasses.
    """

    answers: Answers
    temperature: float
    figures: dict[str, float]
    by_class: metrics.ByClass
    confusion: NDArray[np.int64]
    by_superclass: dict[str, float] = field(default_factory=dict)


def judge(
    answers: Answers, validation: Answers | None = None, *, superclasses: Sequence[str] = (), seed: int = 0
) -> Judgement:
    """Every figure of some answers.

    Args:
        answers: Of the images to judge by.
        validation: Of images to fit the temperature on.
        superclasses: That of each class, where there are some.
        seed: Of the resamples.
    """
    plain = answers.probabilities()
    temperature = 1.0 if validation is None else calibration.temperature(validation.labels, validation.logits)
    figures = metrics.scores(answers.labels, plain)
    for name, (low, high) in intervals.intervals(answers.labels, plain, seed, figures).items():
        figures |= {f"{name}_low": low, f"{name}_high": high}
    if validation is not None:
        figures |= _scaled(answers, temperature)
    predicted = plain.argmax(axis=1)
    return Judgement(
        answers,
        temperature,
        figures,
        metrics.by_class(answers.labels, predicted, answers.classes),
        metrics.confusion(answers.labels, predicted, answers.classes),
        metrics.of_superclasses(answers.labels, plain, superclasses) if superclasses else {},
    )


def _scaled(answers: Answers, temperature: float) -> dict[str, float]:
    """What the temperature changes."""
    found = answers.probabilities(temperature)
    bins = calibration.bins(answers.labels, found)
    return {
        "ece_scaled": bins.ece,
        "mce_scaled": bins.mce,
        "brier_scaled": calibration.brier(answers.labels, found),
        "log_loss_scaled": float(metrics.log_losses(answers.labels, found).mean()),
    }
