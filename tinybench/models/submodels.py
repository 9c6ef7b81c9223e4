"""A whole model in its three parts: entrance (resize, preprocessing), backbone, head.

The parts share every weight with the whole.
"""

from __future__ import annotations

from typing import Any

import keras


def entrance(model: keras.Model) -> keras.Model:
    """From raw pixels to what the backbone takes."""
    return keras.Model(model.input, backbone_input(model), name="entrance")


def backbone(model: keras.Model) -> keras.Model:
    """The feature extractor."""
    return model.get_layer("backbone")


def head(model: keras.Model) -> keras.Model:
    """From the backbone's features to probabilities."""
    return keras.Model(_call_of_backbone(model).output_tensors[0], model.output, name="head")


def backbone_input(model: keras.Model) -> Any:
    """The symbolic tensor that enters the backbone of a whole model."""
    return _call_of_backbone(model).input_tensors[0]


def sorted_nodes(graph: keras.Model) -> list[Any]:
    """The calls of a model's operations, each after those whose outputs it takes."""
    by_depth = graph._nodes_by_depth
    return [call for depth in sorted(by_depth, reverse=True) for call in by_depth[depth]]


def _call_of_backbone(model: keras.Model) -> Any:
    """The one call of the backbone that belongs to this model's graph."""
    pooled = model.get_layer("pooling").input
    return pooled._keras_history.operation._inbound_nodes[pooled._keras_history.node_index]
