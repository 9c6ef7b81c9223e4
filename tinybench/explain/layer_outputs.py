"""The maps inside a backbone, by the names of the layers that give them."""

from __future__ import annotations

import difflib
from typing import Any

import keras

from tinybench.core.errors import ModelError
from tinybench.models import parts


def maps(model: keras.Model) -> dict[str, Any]:
    """The symbolic maps (n, height, width, channels) of a whole model's backbone by layer, from below.

    A layer that is called more than once stands for its last call.

    Raises:
        ModelError: there is no backbone.
    """
    found: dict[str, Any] = {}
    for call in parts.calls(backbone(model)):
        if call.input_tensors and len(call.output_tensors) == 1 and len(call.output_tensors[0].shape) == 4:
            found.pop(call.operation.name, None)
            found[call.operation.name] = call.output_tensors[0]
    return found


def one(model: keras.Model, layer: str) -> Any:
    """The symbolic map of one layer.

    Raises:
        ModelError: there is no backbone, no such layer in it, or it gives no map; the message says what there is.
    """
    found = maps(model)
    if layer not in found:
        exists = any(call.operation.name == layer for call in parts.calls(parts.backbone(model)))
        problem = f"Layer {layer!r} gives no map" if exists else f"The backbone has no layer {layer!r}"
        near = difflib.get_close_matches(layer, found, n=3, cutoff=0.5)
        some = f"did you mean {', '.join(near)}?" if near else f"the last that do are {', '.join([*found][-3:])}."
        raise ModelError(f"{problem} (n, height, width, channels): {some}")
    return found[layer]


def sizes(model: keras.Model) -> dict[str, tuple[int, int]]:
    """Height and width of every map at the size at which the model takes its images."""
    found = maps(model)
    entering = keras.KerasTensor((1, *parts.backbone_input(model).shape[1:]))
    # A backbone that takes images of any size does not know its own sizes
    outputs = keras.Model(parts.backbone(model).input, [*found.values()]).compute_output_spec(entering)
    return {name: tuple(tensor.shape[1:3]) for name, tensor in zip(found, outputs, strict=True)}


def backbone(model: keras.Model) -> keras.Model:
    """The backbone of a whole model.

    Raises:
        ModelError: it has none, as an ensemble.
    """
    if all(layer.name != "backbone" for layer in model.layers):
        raise ModelError(
            "This model has no layer `backbone` to look into. Of an ensemble of folds, take one member: "
            "model.get_layer('fold_1')."
        )
    return parts.backbone(model)
