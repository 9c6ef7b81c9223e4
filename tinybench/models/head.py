"""Build the classifier on top of a backbone."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tinybench.config.sections import HeadConfig

_POOLING = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}


def attach(features: Any, config: HeadConfig, classes: int) -> Any:
    """Attach pooling, dropout, hidden layers and softmax to a backbone's features.

    Args:
        features: Symbolic feature map (n, height, width, channels).
        config: The head's settings.
        classes: Number of classes.

    Returns:
        Symbolic probabilities (n, classes), always float32.
    """
    x = _POOLING[config.pooling](name="pooling")(features)
    x = _normalise(x, config, "pooling")
    x = layers.Dropout(config.dropout, name="dropout")(x)
    hidden = (config.hidden,) if isinstance(config.hidden, int) else config.hidden or ()
    for number, units in enumerate(hidden, 1):
        name = "hidden" if len(hidden) == 1 else f"hidden_{number}"
        penalty = keras.regularizers.L2(config.l2) if config.l2 else None
        x = layers.Dense(units, activation="relu", kernel_regularizer=penalty, name=name)(x)
        x = _normalise(x, config, name)
        if config.hidden_dropout:
            x = layers.Dropout(config.hidden_dropout, name=f"{name}_dropout")(x)
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    return layers.Softmax(name="probabilities", dtype="float32")(x)


def _normalise(x: Any, config: HeadConfig, name: str) -> Any:
    return layers.BatchNormalization(name=f"{name}_norm")(x) if config.batch_norm else x
