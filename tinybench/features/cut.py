"""Find the cut: the end of the frozen part of a model, below which everything is a pure function of the pixels.

A graph can be cut at a tensor that every path from its input to its output passes: an articulation
point. Features are taken at the last one below the first layer that training changes, so that
everything below runs once per image and not once per epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from tinybench.models import submodels


@dataclass(frozen=True)
class Cut:
    """A model divided in two: the part that is computed once, and the part that is trained.

    Attributes:
        layer: Name of the layer that outputs the features.
        extractor: Raw pixels (n, height, width, channels) to features (n, *shape), to be called in inference mode.
        below: Names of the backbone's layers up to the cut.
        tensor: The features as a symbolic tensor of the backbone or the head.
        head: The part above, when the cut is in the head; None when it is in the backbone.
    """

    layer: str
    extractor: keras.Model
    below: frozenset[str]
    tensor: Any
    head: keras.Model | None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the features of one image."""
        return tuple(map(int, self.extractor.output_shape[1:]))


def find_cut(model: keras.Model, training_mode_layers: list[str]) -> Cut | None:
    """Find the last cut below the first layer that training changes or that is random in training.

    Args:
        model: The whole model, its layers frozen and unfrozen for the phase.
        training_mode_layers: Names of the backbone's layers that run in training mode.

    Returns:
        The cut; None if no layer with weights lies below it.
    """
    backbone = submodels.backbone(model)
    points = [*_cut_points(backbone, set(training_mode_layers))]
    if not points:
        return None
    reaches_head = points[-1][1] is backbone.output
    return (_cut_in_head(model) if reaches_head else None) or _cut_in_backbone(model, *points[-1])


def _cut_in_head(model: keras.Model) -> Cut | None:
    head = submodels.head(model)
    points = [*_cut_points(head, {layer.name for layer in head.layers})]
    if not points:
        return None
    layer, tensor = points[-1]
    lower, upper = keras.Model(head.input, tensor), keras.Model(tensor, head.output, name="head")
    backbone = submodels.backbone(model)
    return Cut(layer, _build_extractor(model, backbone, lower), _layer_names(backbone), tensor, upper)


def _cut_in_backbone(model: keras.Model, layer: str, tensor: Any) -> Cut | None:
    lower = keras.Model(submodels.backbone(model).input, tensor)
    return Cut(layer, _build_extractor(model, lower), _layer_names(lower), tensor, None) if lower.weights else None


def _build_extractor(model: keras.Model, *frozen: keras.Model) -> keras.Model:
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    x = submodels.entrance(model)(pixels)
    for submodel in frozen:
        x = submodel(x, training=False)
    return keras.Model(pixels, x, name="extractor")


def _layer_names(lower: keras.Model) -> frozenset[str]:
    return frozenset(layer.name for layer in lower.layers)


def _cut_points(graph: keras.Model, training_mode_layers: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield layer and output of each point that all paths pass, up to the first layer that must not lie below a cut."""
    calls = submodels.sorted_nodes(graph)
    last_call = {id(call.operation): index for index, call in enumerate(calls)}
    last_use = {id(tensor): index for index, call in enumerate(calls) for tensor in call.input_tensors}
    last_use[id(graph.output)] = len(calls)
    live: set[int] = set()
    for index, call in enumerate(calls):
        layer = call.operation
        if _has_trainable_weights(layer) or (layer.name in training_mode_layers and _is_random(layer)):
            return
        live = {tensor for tensor in live if last_use[tensor] > index}
        live |= {id(tensor) for tensor in call.output_tensors if last_use.get(id(tensor), 0) > index}
        only_output = len(call.output_tensors) == 1 and live == {id(call.output_tensors[0])}
        # Keras cannot cut at a layer that is called again above
        if call.input_tensors and only_output and last_call[id(layer)] == index:
            yield layer.name, call.output_tensors[0]


def _has_trainable_weights(layer: Any) -> bool:
    return bool(getattr(layer, "trainable", False) and getattr(layer, "weights", ()))


def _is_random(layer: Any) -> bool:
    """Return whether a layer holds the state of a random generator, as dropout and noise do."""
    weights = {id(weight) for weight in getattr(layer, "weights", ())}
    return any(id(variable) not in weights for variable in getattr(layer, "variables", ()))
