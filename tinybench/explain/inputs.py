"""What every explanation takes, checked; and how many images go through a model at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinybench.models import parts

_MOST = 64  # images at once; more gain nothing
_AREA = 16 * 224 * 224  # pixels at once, which keeps the activations of the large networks within a few GiB


def checked(model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer] | None = None) -> None:
    """Refuse what would give a map that means nothing.

    Args:
        model: From raw pixels to (n, classes) probabilities.
        pixels: (n, height, width, channels) as the model takes them.
        classes: (n,) the class to explain of each image; None where there is none.

    Raises:
        ValueError: no images, shapes that do not agree, pixels that are not numbers, or classes that there are not.
    """
    expected = tuple(model.input_shape[1:])
    if len(pixels) == 0 or pixels.shape[1:] != expected:
        raise ValueError(f"Expected images (n, *{expected}), got {pixels.shape}.")
    if not np.isfinite(pixels).all():
        raise ValueError("Expected pixels that are numbers, got NaN or infinity.")
    if classes is None:
        return
    if classes.shape != (len(pixels),) or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"Expected {len(pixels)} classes as integers, got {classes.dtype} {classes.shape}.")
    count = model.output_shape[-1]
    if classes.min() < 0 or classes.max() >= count:
        raise ValueError(f"Expected classes in 0..{count - 1}, got {classes.min()}..{classes.max()}.")


def at_once(model: keras.Model) -> int:
    """How many images fit in memory together, by the largest map that the model makes or takes."""
    return max(1, min(_MOST, _AREA // _largest(model)))


def pieces(count: int, size: int) -> Iterator[NDArray[np.intp]]:
    """The places 0..count - 1, at most `size` at a time."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def traced(function: Callable[[Any, Any], Any], model: keras.Model) -> Callable[..., Any]:
    """A function of images and classes as a graph, traced once for any number of images."""
    specs = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int32)]
    # One that TensorFlow traces at the first call would be counted, and warned of, as retraced with every model
    graph = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
    return lambda images, classes: graph(*map(tf.constant, (images, classes), (tf.float32, tf.int32))).numpy()


def _largest(graph: keras.Model) -> int:
    """Pixels of the largest image or map; sizes that are not fixed follow those before them."""
    areas = [1]
    for call in parts.calls(graph):
        inner = call.operation
        areas += [_largest(inner)] if isinstance(inner, keras.Model) and hasattr(inner, "_nodes_by_depth") else []
        areas += [np.prod(tensor.shape[1:3]) for tensor in call.output_tensors if _is_map(tensor)]
    return int(max(areas))


def _is_map(tensor: Any) -> bool:
    return len(tensor.shape) == 4 and None not in tensor.shape[1:]
