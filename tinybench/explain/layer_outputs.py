"""Find the feature maps inside a backbone by the names of the layers that output them."""

from __future__ import annotations

import difflib
from typing import Any

import keras

from tinybench.core.errors import ModelError
from tinybench.models import submodels


def map_layers(model: keras.Model) -> dict[str, Any]:
    """Return the symbolic feature maps (n, height, width, channels) of a model's backbone by layer, in graph order.

    A layer that is called more than once is listed with its last call.

    Raises:
        ModelError: There is no backbone.
    """
    maps: dict[str, Any] = {}
    for node in submodels.sorted_nodes(get_backbone(model)):
        if node.input_tensors and len(node.output_tensors) == 1 and len(node.output_tensors[0].shape) == 4:
            maps.pop(node.operation.name, None)
            maps[node.operation.name] = node.output_tensors[0]
    return maps


def get_map(model: keras.Model, layer: str) -> Any:
    """Return the symbolic feature map of a layer.

    Raises:
        ModelError: There is no backbone or no such layer in it, or its output is not a map; the message suggests
            layers that have one.
    """
    maps = map_layers(model)
    if layer not in maps:
        exists = any(node.operation.name == layer for node in submodels.sorted_nodes(submodels.backbone(model)))
        problem = f"Layer {layer!r} gives no map" if exists else f"The backbone has no layer {layer!r}"
        near = difflib.get_close_matches(layer, maps, n=3, cutoff=0.5)
        if near:
            hint = f"did you mean {', '.join(near)}?"
        else:
            hint = f"the last layers that give one are {', '.join([*maps][-3:])}."
        raise ModelError(f"{problem} (n, height, width, channels): {hint}")
    return maps[layer]


def map_sizes(model: keras.Model) -> dict[str, tuple[int, int]]:
    """Return height and width of every feature map, for images in the size that the model takes."""
    maps = map_layers(model)
    # A backbone that accepts images of any size does not know the sizes of its maps
    entering = keras.KerasTensor((1, *submodels.backbone_input(model).shape[1:]))
    outputs = keras.Model(submodels.backbone(model).input, [*maps.values()]).compute_output_spec(entering)
    return {name: tuple(tensor.shape[1:3]) for name, tensor in zip(maps, outputs, strict=True)}


def last_layer_of(model: keras.Model, min_side: int) -> str | None:
    """Return the name of the last layer whose map has at least `min_side` pixels a side, padding layers left out.

    Raises:
        ModelError: There is no backbone.
    """
    nodes = submodels.sorted_nodes(get_backbone(model))
    padding = {node.operation.name for node in nodes if isinstance(node.operation, keras.layers.ZeroPadding2D)}
    sizes = map_sizes(model).items()
    names = [name for name, size in sizes if min(size) >= min_side and name not in padding]
    return names[-1] if names else None


def get_backbone(model: keras.Model) -> keras.Model:
    """Return the backbone of a model.

    Raises:
        ModelError: The model has no backbone, as an ensemble of folds.
    """
    if all(layer.name != "backbone" for layer in model.layers):
        raise ModelError(
            "This model has no layer `backbone` to look into. Of an ensemble of folds, take one member: "
            "model.get_layer('fold_1')."
        )
    return submodels.backbone(model)
