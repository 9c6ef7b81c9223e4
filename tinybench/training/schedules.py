"""Learning-rate schedules of a phase, by step."""

from __future__ import annotations

import keras

from tinybench.config.sections import PhaseConfig


def learning_rate(settings: PhaseConfig, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return a constant learning rate, or Keras's cosine decay to 0 after a linear warm-up.

    Args:
        settings: The phase. Its schedule `plateau` is constant here; a callback reduces the rate between epochs.
        steps: Training steps of an epoch.
    """
    if settings.schedule != "cosine":
        return settings.lr
    decay_steps = (settings.epochs - settings.warmup) * steps
    if not settings.warmup:
        return keras.optimizers.schedules.CosineDecay(settings.lr, decay_steps)
    warmup_steps = settings.warmup * steps
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps, warmup_target=settings.lr, warmup_steps=warmup_steps
    )
