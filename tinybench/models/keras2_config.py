"""Change a model's configuration that Keras 2 wrote into one that Keras 3 reads, where that changes nothing.

Keras 2 wrote keywords that a layer inherits and does not use, such as `groups` of a depthwise convolution, which
Keras 3 refuses, and called the functional model by a module that Keras 3 does not have.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import keras

_ANY = object()
_WITHOUT_EFFECT: dict[str, Any] = {
    "groups": 1,  # of depthwise, separable and transposed convolutions, which have no groups
    "fused": _ANY,  # how batch normalization is computed
    "virtual_batch_size": None,
    "adjustment": None,
}
"""Keywords by name, with the only value that may be left out."""
_UNUSED = {
    "SeparableConv1D": ("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SeparableConv2D": ("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
}
"""Keywords that a layer of Keras 2 inherited, and whose place others have taken, such as `depthwise_initializer`."""
_RENAMED = {("LeakyReLU", "alpha"): "negative_slope"}
_FUNCTIONAL = {"Functional": "keras.src.models.functional", "Model": "keras.src.models.functional"}


def modernize(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a model without what Keras 3 refuses and what has no effect.

    Args:
        config: As `config.json` in a `.keras` file, or the attribute `model_config` of an HDF5 file, has it.
    """
    changed = copy.deepcopy(config)
    nodes = [*iterate_objects(changed)]
    if any(node["class_name"] == "InputLayer" and "batch_input_shape" in node.get("config", {}) for node in nodes):
        _unpack_single_tensors(nodes)
    for node in nodes:
        name, module = str(node["class_name"]), str(node.get("module") or "")
        if name in _FUNCTIONAL and module.endswith((".engine.functional", ".engine.training")):
            node |= {"class_name": "Functional", "registered_name": "Functional", "module": _FUNCTIONAL[name]}
        elif isinstance(node.get("config"), dict):
            _remove_keywords(name, node["config"])
            axis = node["config"].get("axis")
            if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
                node["config"]["axis"] = axis[0]
    return changed


def _unpack_single_tensors(nodes: list[dict[str, Any]]) -> None:
    """Let models with one input and output take and return it: Keras 2 wrote it as a list, which Keras 3 returns."""
    for node in nodes:
        for key in ("input_layers", "output_layers"):
            tensors = node["config"].get(key) if isinstance(node.get("config"), dict) else None
            if isinstance(tensors, list) and len(tensors) == 1 and isinstance(tensors[0], list):
                node["config"][key] = tensors[0]


def _remove_keywords(class_name: str, values: dict[str, Any]) -> None:
    layer = getattr(keras.layers, class_name, None)
    if not inspect.isclass(layer):
        return
    known = _list_keywords(layer)
    for name in [name for name in values if name not in known]:
        new_name = _RENAMED.get((class_name, name))
        is_without_effect = name in _WITHOUT_EFFECT and _WITHOUT_EFFECT[name] in (_ANY, values[name])
        if new_name is not None:
            values[new_name] = values.pop(name)
        elif is_without_effect or name in _UNUSED.get(class_name, ()):
            del values[name]


def iterate_objects(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every serialized object in a configuration: the mappings that name a class."""
    if isinstance(node, dict):
        if "class_name" in node:
            yield node
        for value in node.values():
            yield from iterate_objects(value)
    elif isinstance(node, list):
        for value in node:
            yield from iterate_objects(value)


def _list_keywords(layer: type) -> set[str]:
    """Return the keywords that the constructor of a layer takes, those of the classes above it included."""
    names: set[str] = set()
    for parent in layer.__mro__:
        if "__init__" in vars(parent):
            parameters = inspect.signature(parent.__init__).parameters.values()  # type: ignore[misc]
            names |= {parameter.name for parameter in parameters}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                break  # it passes nothing on
    return names
