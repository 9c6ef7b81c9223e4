"""The model that is trained: augmentation, a backbone in the mode it should be in, and the head."""

from __future__ import annotations

from typing import Any

import keras


class Inference(keras.layers.Layer):
    """Calls a model in inference mode, whatever its caller is doing.

    A functional model hands its caller's training flag down to every layer, whatever flag it was built
    with (Keras 3.15); a layer whose call does not take the flag ends that.
    """

    def __init__(self, model: keras.Model) -> None:
        """Args: the model, whose weights are shared."""
        super().__init__(name="inference")
        self.model = model

    def call(self, features: Any) -> Any:
        """The model's output."""
        return self.model(features, training=False)

    def compute_output_spec(self, features: Any) -> Any:
        """The model's own, so that nothing is traced."""
        return self.model.compute_output_spec(features, training=False)


def build(model: keras.Model, augmentation: list[keras.layers.Layer], following: list[str]) -> keras.Model:
    """The model that is trained; it shares every weight with the one that is saved, and is never saved.

    Args:
        model: The whole model, raw pixels to probabilities.
        augmentation: Layers for training images.
        following: The backbone layers that follow the training flag: none, or its last ones in order.
            All others run in inference mode.
    """
    lower, upper = _cut(model.get_layer("backbone"), following)
    entrance = keras.Model(model.input, backbone_input(model), name="entrance")
    head = keras.Model(_exit(model), model.output, name="head")
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    x = pixels
    for layer in augmentation:
        x = layer(x)
    x = Inference(lower)(entrance(x))
    x = upper(x) if upper is not None else x
    return keras.Model(pixels, head(x), name="trainer")


def backbone_input(model: keras.Model) -> Any:
    """The symbolic tensor that enters the backbone of a whole model."""
    return _call_of_backbone(model).input_tensors[0]


def _exit(model: keras.Model) -> Any:
    return _call_of_backbone(model).output_tensors[0]


def _call_of_backbone(model: keras.Model) -> Any:
    """The one call of the backbone that belongs to this model's graph."""
    pooled = model.get_layer("pooling").input
    return pooled._keras_history.operation._inbound_nodes[pooled._keras_history.node_index]


def _cut(backbone: keras.Model, following: list[str]) -> tuple[keras.Model, keras.Model | None]:
    """The backbone in two: what runs in inference mode, and what follows the training flag."""
    if not following:
        return backbone, None
    if len(following) == len(backbone.layers):
        return keras.Model(backbone.input, backbone.input), backbone
    upper = [layer for layer in backbone.layers if layer.name in following]
    border: dict[int, Any] = {}
    for layer in upper:
        for tensor in layer._inbound_nodes[0].input_tensors:
            if tensor._keras_history.operation.name not in following:
                border[id(tensor)] = tensor
    tensors = [*border.values()]
    return keras.Model(backbone.input, tensors), keras.Model(tensors, backbone.output)
