"""Compute the number that is explained: the score of a class before the softmax.

Probabilities saturate: where a class is certain, their gradient vanishes. Source: Simonyan et al., 2013, section 3.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

_LEAST = 1e-37  # about the smallest normal number of float32


def build_score_model(model: keras.Model) -> keras.Model:
    """Build the model from the same input to the scores (n, classes) of all classes.

    The scores are the logits; for an ensemble of folds the mean of the logits of its members; for a model that does not
    end in a softmax layer the logarithms of its probabilities.
    """
    last = _producing_node(model.output)
    if isinstance(last.operation, layers.Softmax):
        return keras.Model(model.input, last.input_tensors[0])
    members = [_producing_node(tensor).operation for tensor in last.input_tensors]
    if isinstance(last.operation, layers.Average) and all(isinstance(member, keras.Model) for member in members):
        scores = layers.Average()([build_score_model(member)(model.input) for member in members])
        return keras.Model(model.input, scores)
    return keras.Model(model.input, ops.log(ops.maximum(model.output, _LEAST)))


def select_scores(scores: Any, classes: Any) -> Any:
    """Select the score of the given class of each image, (n,) in float32."""
    return tf.cast(tf.gather(scores, classes, batch_dims=1), tf.float32)


def _producing_node(tensor: Any) -> Any:
    """Return the graph node that outputs a symbolic tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]
