"""Put the layers of nested models into the graph around them, so that each can be frozen, cut at and named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras.src.models.functional import Functional


def inline_models(model: keras.Model) -> keras.Model:
    """Return a Functional model with the layers of the models that it holds, at any depth, in place of those models.

    It shares every layer with the given one and computes the same. A layer whose name is taken already gets that of its
    model before it. A model with a call of its own, or one that converts its inputs, stays one layer.

    Args:
        model: A Functional model; it is returned as it is, if there is no model in it.
    """
    if not any(_can_be_inlined(layer) for layer in model.layers):
        return model
    outputs = model._run_through_graph(model.inputs, operation_fn=_inlined)
    _make_names_unique(model)
    return keras.Model(model.input, _unpack_single(outputs))


def _inlined(operation: Any) -> Callable[..., Any]:
    """Return what a graph calls in place of an operation."""
    return _Inlined(operation) if _can_be_inlined(operation) else operation


class _Inlined:
    """Calls the layers of a model one by one.

    Args:
        model: A Functional or Sequential model.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the model's output; whether its caller trains is decided by the graph around it."""
        model = self._model
        tensors = keras.tree.flatten(args)
        options = keras.tree.flatten([value for name, value in kwargs.items() if name != "training"])
        has_options = any(option is not None for option in options)  # such as a mask; that there is none is said, too
        if has_options or not _match(tensors, model.inputs):
            return model(*args, **kwargs)
        if isinstance(model, keras.Sequential):
            (x,) = tensors
            for layer in model.layers:
                x = _inlined(layer)(x)
            return x
        return _unpack_single(model._run_through_graph(tensors, operation_fn=_inlined))


def _unpack_single(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, (list, tuple)) and len(outputs) == 1 else outputs


def _can_be_inlined(operation: Any) -> bool:
    kind = type(operation)
    is_graph = isinstance(operation, Functional) and kind.call is Functional.call
    return is_graph or (isinstance(operation, keras.Sequential) and kind.call is keras.Sequential.call)


def _match(tensors: list[Any], inputs: list[Any]) -> bool:
    """Return whether a model takes tensors as they are, without another type or rank."""
    return len(tensors) == len(inputs) and all(
        tensor.dtype == declared.dtype and len(tensor.shape) == len(declared.shape)
        for tensor, declared in zip(tensors, inputs, strict=True)
    )


def _make_names_unique(model: keras.Model) -> None:
    """Rename the operations whose name another one has, in the order of the graph."""
    names: set[str] = set()
    visited: set[int] = set()
    for operation, owner in _operations(model, ""):
        if id(operation) in visited:
            continue
        visited.add(id(operation))
        name, number = operation.name, 2
        if name in names and owner:
            name = f"{owner}_{operation.name}"
        while name in names:
            name, number = f"{operation.name}_{number}", number + 1
        if name != operation.name:
            operation.name = name
        names.add(name)


def _operations(model: keras.Model, owner: str) -> Iterator[tuple[Any, str]]:
    """Yield the operations of a model and of the models in it, each with the name of the model that holds it."""
    graph = model.layers if isinstance(model, keras.Sequential) else model.operations
    for operation in graph:
        if _can_be_inlined(operation):
            yield from _operations(operation, operation.name)
        elif not (owner and isinstance(operation, keras.layers.InputLayer)):
            yield operation, owner
