"""The number that is explained: the score of a class before the softmax.

Probabilities saturate: where a class is certain their gradient is nothing. Source: Simonyan et al., 2013, section 3.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

_LEAST = 1e-37  # float32 has no smaller normal number


def of(model: keras.Model) -> keras.Model:
    """From a model's input to the scores (n, classes) of all classes.

    They are the logits; of an ensemble of folds the mean of its members' logits; of a model that ends in no
    softmax layer the logarithm of its probabilities.
    """
    last = _call(model.output)
    if isinstance(last.operation, layers.Softmax):
        return keras.Model(model.input, last.input_tensors[0])
    members = [_call(tensor).operation for tensor in last.input_tensors]
    if isinstance(last.operation, layers.Average) and all(isinstance(member, keras.Model) for member in members):
        return keras.Model(model.input, layers.Average()([of(member)(model.input) for member in members]))
    return keras.Model(model.input, ops.log(ops.maximum(model.output, _LEAST)))


def chosen(scores: Any, classes: Any) -> Any:
    """Of each image the score (n,) of its class, in float32."""
    return tf.cast(tf.gather(scores, classes, batch_dims=1), tf.float32)


def _call(tensor: Any) -> Any:
    """The call of an operation that gave a symbolic tensor."""
    operation, place, _ = tensor._keras_history
    return operation._inbound_nodes[place]
