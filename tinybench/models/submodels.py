"""Divide a model into three submodels: entrance (resize, preprocessing), backbone and head.

The submodels share every weight with the model.
"""

from __future__ import annotations

from typing import Any

import keras


def entrance(model: keras.Model) -> keras.Model:
    """Return the submodel from raw pixels to the backbone's input."""
    return keras.Model(model.input, backbone_input(model), name="entrance")


def backbone(model: keras.Model) -> keras.Model:
    """Return the layer that extracts the features."""
    return model.get_layer("backbone")


def head(model: keras.Model) -> keras.Model:
    """Return the submodel from the backbone's features to probabilities."""
    return keras.Model(_backbone_node(model).output_tensors[0], model.output, name="head")


def backbone_input(model: keras.Model) -> Any:
    """Return the symbolic tensor that is the backbone's input in the graph of a model."""
    return _backbone_node(model).input_tensors[0]


def sorted_nodes(graph: keras.Model) -> list[Any]:
    """Return the nodes (calls of operations) of a model's graph, each after those whose outputs it takes."""
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _backbone_node(model: keras.Model) -> Any:
    """Return the node of the backbone in the graph of this model; the backbone has one more for each other model."""
    history = model.get_layer("pooling").input._keras_history
    return history.operation._inbound_nodes[history.node_index]
