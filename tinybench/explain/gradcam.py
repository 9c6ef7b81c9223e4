"""Locate a class in an image: the last feature maps of the backbone, weighted by their effect on the class score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinybench.core.errors import ModelError
from tinybench.explain import class_scores, inputs, layer_outputs
from tinybench.models import submodels

_MIN_SIDE = 3  # pixels: a smaller map, drawn over an image, fills all of it

# From activations and gradients (n, h, w, channels) to the weight (n, 1, 1, channels) of each channel
ChannelWeights = Callable[[Any, Any], Any]


def last_spatial_layer(model: keras.Model) -> str:
    """Return the name of the last layer of the backbone whose output is a map that can locate something.

    That is one of at least 3 by 3 pixels; in a backbone without such a map, the last one of more than one pixel.

    Raises:
        ModelError: There is no backbone, or no such layer in it.
    """
    large = layer_outputs.last_layer_of(model, _MIN_SIDE)
    if large is not None:
        return large
    names = [name for name, (height, width) in layer_outputs.map_sizes(model).items() if height * width > 1]
    if not names:
        raise ModelError("No layer of the backbone gives a map of more than one pixel: set a larger image_size.")
    return names[-1]


def grad_cam(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    layer: str | None = None,
    *,
    batch_size: int | None = None,
) -> NDArray[np.float32]:
    """Compute Grad-CAM: the channels of a layer, weighted by the mean of their gradients.

    Args:
        model: From raw pixels to probabilities, with a layer named `backbone`.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain for each image.
        layer: Layer of the backbone with a map of more than one pixel; None takes `last_spatial_layer`.
        batch_size: Images in one batch; None takes as many as fit in memory.

    Returns:
        (n, height, width) in 0..1, scaled so that the maximum of each image is 1, interpolated bilinearly between the
        pixels of the layer; all 0 where nothing supports the class.

    Raises:
        ModelError: There is no backbone or no such layer, or its map has one pixel only.
        ValueError: `inputs.check_inputs` rejects the pixels or classes, or the batch size is below 1.

    Source: Selvaraju et al., 2017, "Grad-CAM".
    """
    return _compute_cam(model, pixels, classes, layer, batch_size, _mean_weights)


def grad_cam_plus_plus(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    layer: str | None = None,
    *,
    batch_size: int | None = None,
) -> NDArray[np.float32]:
    """Compute Grad-CAM++, which uses positive gradients only and so finds small and repeated objects, too.

    Arguments, result and errors are those of `grad_cam`.

    Source: Chattopadhyay et al., 2018, "Grad-CAM++", equations 10 and 19.
    """
    return _compute_cam(model, pixels, classes, layer, batch_size, _positive_weights)


def _mean_weights(_: Any, gradients: Any) -> Any:
    return tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)


def _positive_weights(activations: Any, gradients: Any) -> Any:
    """Return the weights of Grad-CAM++ for the exponential of the score, whose derivatives are powers of the gradient.

    The exponential itself is a factor common to the image and cancels, as does a square of the gradient. The maps of
    the paper are outputs of a ReLU: negative values of other maps are excluded from the sum.
    """
    strength = tf.reduce_sum(tf.nn.relu(activations), axis=(1, 2), keepdims=True)
    positive = tf.nn.relu(gradients)
    return tf.reduce_sum(positive / (2 + strength * positive), axis=(1, 2), keepdims=True)


def _compute_cam(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    layer: str | None,
    batch_size: int | None,
    channel_weights: ChannelWeights,
) -> NDArray[np.float32]:
    inputs.check_inputs(model, pixels, classes)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"Expected `batch_size` of at least 1, got {batch_size}.")
    if layer is None:
        layer = last_spatial_layer(model)
    elif layer_outputs.map_sizes(model).get(layer) == (1, 1):
        raise ModelError(f"The map of layer {layer!r} is one pixel, which has no position: take a layer before it.")
    cam = _trace_cam(model, layer_outputs.get_map(model, layer), channel_weights)
    maps = np.empty(pixels.shape[:3], np.float32)
    for batch in inputs.batch_indices(len(pixels), batch_size or inputs.max_batch_size(model)):
        maps[batch] = cam(pixels[batch], classes[batch])
    return maps


def _trace_cam(model: keras.Model, layer_output: Any, channel_weights: ChannelWeights) -> Callable[..., Any]:
    """Return the graph from images and classes to their maps (n, height, width)."""
    backbone, entrance = submodels.backbone(model), submodels.entrance(model)
    layer_and_features = keras.Model(backbone.input, [layer_output, backbone.output])
    head = class_scores.build_score_model(submodels.head(model))
    size = model.input_shape[1:3]

    def cam(images: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            entering = entrance(images, training=False)
            tape.watch(entering)  # otherwise nothing is recorded where all weights are frozen
            activations, features = layer_and_features(entering, training=False)
            scores = class_scores.select_scores(head(features, training=False), classes)
        gradients = tf.cast(tape.gradient(scores, activations), tf.float32)
        activations = tf.cast(activations, tf.float32)
        weights = channel_weights(activations, gradients)
        coarse = tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1, keepdims=True))
        fine = tf.image.resize(coarse, size)[..., 0]
        return tf.math.divide_no_nan(fine, tf.reduce_max(fine, axis=(1, 2), keepdims=True))

    return inputs.trace_graph(cam, model)
