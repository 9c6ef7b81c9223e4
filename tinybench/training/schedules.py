"""How the learning rate goes on within a phase, step by step."""

from __future__ import annotations

import keras

from tinybench.config.sections import PhaseConfig


def rate(settings: PhaseConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate, or Keras's cosine decay to 0, after a linear warm-up where one is asked for.

    Args:
        settings: The phase; a plateau is seen between epochs, by a callback.
        steps: Training steps of an epoch.
    """
    if settings.schedule != "cosine":
        return settings.lr
    falling = (settings.epochs - settings.warmup) * steps
    if not settings.warmup:
        return keras.optimizers.schedules.CosineDecay(settings.lr, falling)
    rising = settings.warmup * steps
    return keras.optimizers.schedules.CosineDecay(0.0, falling, warmup_target=settings.lr, warmup_steps=rising)
