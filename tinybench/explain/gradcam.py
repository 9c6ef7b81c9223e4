"""Where in the image a backbone finds a class: its last maps, weighed by what they do for the class's score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinybench.core.errors import ModelError
from tinybench.explain import class_scores, inputs, layer_outputs
from tinybench.models import parts

# Activations and gradients (n, h, w, channels) to the weight (n, 1, 1, channels) of each channel
Weigh = Callable[[Any, Any], Any]


def last_spatial(model: keras.Model) -> str:
    """Name of the last layer of the backbone whose output is a map of more than one pixel.

    Raises:
        ModelError: there is no backbone, or no such layer in it.
    """
    found = [name for name, (height, width) in layer_outputs.sizes(model).items() if height * width > 1]
    if not found:
        raise ModelError("No layer of the backbone gives a map of more than one pixel: set a larger image_size.")
    return found[-1]


def grad_cam(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    layer: str | None = None,
    *,
    at_once: int | None = None,
) -> NDArray[np.float32]:
    """Maps of the places that speak for a class: channels weighed by the mean of their gradients.

    Args:
        model: From raw pixels to probabilities, with a layer named `backbone`.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain of each image.
        layer: Of the backbone, with a map of more than one pixel; None takes `last_spatial`.
        at_once: Images in one batch; None takes as many as memory holds.

    Returns:
        (n, height, width) in 0..1, the strongest place of an image at 1, bilinear between the pixels of the layer;
        all 0 where nothing speaks for the class.

    Raises:
        ModelError: there is no backbone, no such layer, or no map of more than one pixel.
        ValueError: pixels or classes that `inputs.checked` refuses, or no images at once.

    Source: Selvaraju et al., 2017, "Grad-CAM".
    """
    return _maps(model, pixels, classes, layer, at_once, _mean)


def grad_cam_plus_plus(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    layer: str | None = None,
    *,
    at_once: int | None = None,
) -> NDArray[np.float32]:
    """As `grad_cam`, with weights that also find small and repeated objects: only what speaks for the class counts.

    Source: Chattopadhyay et al., 2018, "Grad-CAM++", equations 10 and 19.
    """
    return _maps(model, pixels, classes, layer, at_once, _positive)


def _mean(_: Any, gradients: Any) -> Any:
    return tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)


def _positive(activations: Any, gradients: Any) -> Any:
    """The weights of the exponential of the score, whose derivatives are powers of the gradient.

    The exponential itself is a factor of the whole image and falls out; so does a square of the gradient. The paper's
    maps are those of a ReLU: what lies below 0 in others is left out of their sum.
    """
    strength = tf.reduce_sum(tf.nn.relu(activations), axis=(1, 2), keepdims=True)
    positive = tf.nn.relu(gradients)
    return tf.reduce_sum(positive / (2 + strength * positive), axis=(1, 2), keepdims=True)


def _maps(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    layer: str | None,
    at_once: int | None,
    weigh: Weigh,
) -> NDArray[np.float32]:
    inputs.checked(model, pixels, classes)
    if at_once is not None and at_once < 1:
        raise ValueError(f"Expected `at_once` of at least 1, got {at_once}.")
    cam = _cam(model, _place(model, layer), weigh)
    found = np.empty(pixels.shape[:3], np.float32)
    for row in inputs.pieces(len(pixels), at_once or inputs.at_once(model)):
        found[row] = cam(pixels[row], classes[row])
    return found


def _place(model: keras.Model, layer: str | None) -> str:
    if layer is None:
        return last_spatial(model)
    layer_outputs.one(model, layer)
    if layer_outputs.sizes(model)[layer] == (1, 1):
        raise ModelError(f"The map of layer {layer!r} is one pixel, which shows no place: take one before it.")
    return layer


def _cam(model: keras.Model, layer: str, weigh: Weigh) -> Callable[..., Any]:
    backbone, entrance = parts.backbone(model), parts.entrance(model)
    both = keras.Model(backbone.input, [layer_outputs.one(model, layer), backbone.output])
    head = class_scores.of(parts.head(model))
    size = model.input_shape[1:3]

    def cam(images: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            entering = entrance(images, training=False)
            tape.watch(entering)  # weights that are frozen would else leave nothing on the tape
            activations, features = both(entering, training=False)
            found = class_scores.chosen(head(features, training=False), classes)
        gradients = tf.cast(tape.gradient(found, activations), tf.float32)
        activations = tf.cast(activations, tf.float32)
        coarse = tf.nn.relu(tf.reduce_sum(weigh(activations, gradients) * activations, axis=-1, keepdims=True))
        fine = tf.image.resize(coarse, size)[..., 0]
        return tf.math.divide_no_nan(fine, tf.reduce_max(fine, axis=(1, 2), keepdims=True))

    return inputs.traced(cam, model)
