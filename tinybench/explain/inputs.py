"""Check the inputs of an explanation, and choose how many images go through a model at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinybench.models import submodels

_MAX_BATCH = 64  # images at once; more are not faster
_AREA = 16 * 224 * 224  # pixels at once, which keeps the activations of large networks within a few GiB


def check_inputs(model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer] | None = None) -> None:
    """Raise unless the inputs lead to a meaningful map.

    Args:
        model: From raw pixels to (n, classes) probabilities.
        pixels: (n, height, width, channels) as the model takes them.
        classes: (n,) the class to explain for each image; None where no class is explained.

    Raises:
        ValueError: There are no images, shapes do not match, pixels are not finite, or the model has no such class.
    """
    expected = tuple(model.input_shape[1:])
    if len(pixels) == 0 or pixels.shape[1:] != expected:
        raise ValueError(f"Expected images (n, *{expected}), got {pixels.shape}.")
    if not np.isfinite(pixels).all():
        raise ValueError("Expected finite pixels, got NaN or infinity.")
    if classes is None:
        return
    if classes.shape != (len(pixels),) or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"Expected {len(pixels)} classes as integers, got {classes.dtype} {classes.shape}.")
    count = model.output_shape[-1]
    if classes.min() < 0 or classes.max() >= count:
        raise ValueError(f"Expected classes in 0..{count - 1}, got {classes.min()}..{classes.max()}.")


def max_batch_size(model: keras.Model) -> int:
    """Return how many images fit in memory together, by the largest feature map of the model."""
    return max(1, min(_MAX_BATCH, _AREA // _largest_area(model)))


def batch_indices(count: int, size: int) -> Iterator[NDArray[np.intp]]:
    """Yield the indices 0 to `count` - 1 in batches of at most `size`."""
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def trace_graph(function: Callable[[Any, Any], Any], model: keras.Model) -> Callable[..., Any]:
    """Compile a function of images and classes to a graph, traced once for any number of images."""
    specs = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int32)]
    # TensorFlow would count a function that is traced at its first call as retraced with every model, and warn
    graph = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
    return lambda images, classes: graph(*map(tf.constant, (images, classes), (tf.float32, tf.int32))).numpy()


def _largest_area(model: keras.Model) -> int:
    """Return the number of pixels of the largest image or feature map, of those whose size is fixed."""
    areas = [1]
    for node in submodels.sorted_nodes(model):
        operation = node.operation
        if isinstance(operation, keras.Model) and hasattr(operation, "_nodes_by_depth"):
            areas.append(_largest_area(operation))
        areas += [np.prod(tensor.shape[1:3]) for tensor in node.output_tensors if _is_fixed_map(tensor)]
    return int(max(areas))


def _is_fixed_map(tensor: Any) -> bool:
    return len(tensor.shape) == 4 and None not in tensor.shape[1:]
