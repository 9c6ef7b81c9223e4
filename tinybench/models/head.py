"""The classifier on top of a backbone."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from tinybench.config import HeadConfig


def attach(features: Any, config: HeadConfig, classes: int) -> Any:
    """Global pooling, dropout, an optional hidden layer, and softmax.

    Args:
        features: Symbolic feature map (n, h, w, channels).
        config: The head's settings.
        classes: Number of classes.

    Returns:
        Symbolic probabilities (n, classes), always float32.
    """
    pooling = layers.GlobalAveragePooling2D if config.pooling == "avg" else layers.GlobalMaxPooling2D
    x = pooling(name="pooling")(features)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    if config.hidden:
        penalty = keras.regularizers.L2(config.l2) if config.l2 else None
        x = layers.Dense(config.hidden, activation="relu", kernel_regularizer=penalty, name="hidden")(x)
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    return layers.Softmax(name="probabilities", dtype="float32")(x)
