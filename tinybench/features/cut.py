"""Where the frozen part of a model ends: what lies below is a pure function of the pixels.

A graph can be cut at a tensor that every path from its input to its output passes: an articulation
point. The last one below the first layer that training changes is where features are kept, so that
what lies below runs once an image and not once an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from tinybench.models import parts


@dataclass(frozen=True)
class Cut:
    """A whole model in two: what is computed once, and what is trained.

    Attributes:
        layer: Name of the layer whose output the features are.
        extractor: Raw pixels (n, height, width, channels) to features (n, *shape), to be called in inference mode.
        below: Names of the backbone's layers up to the cut.
        tensor: The features in the graph of the part that is cut.
        head: The part above, when the cut is in the head; None when it is in the backbone.
    """

    layer: str
    extractor: keras.Model
    below: frozenset[str]
    tensor: Any
    head: keras.Model | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the features of one image."""
        return tuple(map(int, self.extractor.output_shape[1:]))


def find(model: keras.Model, following: list[str]) -> Cut | None:
    """The last cut below the first layer that training changes, or that is random in training.

    Args:
        model: The whole model, its layers frozen and unfrozen as the phase wants them.
        following: Names of the backbone's layers that follow the training flag.

    Returns:
        The cut; None when nothing with weights lies below it.
    """
    backbone = parts.backbone(model)
    found = [*_places(backbone, set(following))]
    if not found:
        return None
    reaches_head = found[-1][1] is backbone.output
    return (_in_head(model) if reaches_head else None) or _in_backbone(model, *found[-1])


def _in_head(model: keras.Model) -> Cut | None:
    head = parts.head(model)
    found = [*_places(head, {layer.name for layer in head.layers})]
    if not found:
        return None
    layer, tensor = found[-1]
    lower, upper = keras.Model(head.input, tensor), keras.Model(tensor, head.output, name="head")
    backbone = parts.backbone(model)
    return Cut(layer, _extractor(model, backbone, lower), _names(backbone), tensor, upper)


def _in_backbone(model: keras.Model, layer: str, tensor: Any) -> Cut | None:
    lower = keras.Model(parts.backbone(model).input, tensor)
    return Cut(layer, _extractor(model, lower), _names(lower), tensor, None) if lower.weights else None


def _extractor(model: keras.Model, *frozen: keras.Model) -> keras.Model:
    pixels = keras.Input(model.input_shape[1:], name="pixels")
    x = parts.entrance(model)(pixels)
    for part in frozen:
        x = part(x, training=False)
    return keras.Model(pixels, x, name="extractor")


def _names(lower: keras.Model) -> frozenset[str]:
    return frozenset(layer.name for layer in lower.layers)


def _places(graph: keras.Model, following: set[str]) -> Iterator[tuple[str, Any]]:
    """The layers whose one output everything further depends on alone, up to the first that must not lie below."""
    calls = parts.calls(graph)
    last_call = {id(call.operation): place for place, call in enumerate(calls)}
    last_use = {id(tensor): place for place, call in enumerate(calls) for tensor in call.input_tensors}
    last_use[id(graph.output)] = len(calls)
    waiting: set[int] = set()
    for place, call in enumerate(calls):
        layer = call.operation
        if _changes(layer) or (layer.name in following and _is_random(layer)):
            return
        waiting = {tensor for tensor in waiting if last_use[tensor] > place}
        waiting |= {id(tensor) for tensor in call.output_tensors if last_use.get(id(tensor), 0) > place}
        alone = len(call.output_tensors) == 1 and waiting == {id(call.output_tensors[0])}
        # Keras cannot cut at a layer that is called once more above
        if call.input_tensors and alone and last_call[id(layer)] == place:
            yield layer.name, call.output_tensors[0]


def _changes(layer: Any) -> bool:
    return bool(getattr(layer, "trainable", False) and getattr(layer, "weights", ()))


def _is_random(layer: Any) -> bool:
    """Whether it holds the state of a random generator, as dropout and noise do."""
    weights = {id(weight) for weight in getattr(layer, "weights", ())}
    return any(id(variable) not in weights for variable in getattr(layer, "variables", ()))
