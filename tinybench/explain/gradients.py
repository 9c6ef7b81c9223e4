"""Which pixels a class score would follow: gradients with respect to the image, plain, averaged and along a path.

The score is that of `scores.of`. These work on any model, ensembles too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinybench.explain import class_scores, inputs

_RANGE = 255.0  # of pixels

# Images as float32 and the number of the pass for each, to what the model is shown
Shown = Callable[[NDArray[np.float32], NDArray[np.intp]], NDArray[np.float32]]


def score(model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer]) -> NDArray[np.float32]:
    """The explained score (n,) of each image for its class: the logit.

    Raises:
        ValueError: pixels or classes that `inputs.checked` refuses.
    """
    inputs.checked(model, pixels, classes)
    scored = class_scores.of(model)
    score = inputs.traced(lambda images, wanted: class_scores.chosen(scored(images, training=False), wanted), model)
    rows = inputs.pieces(len(pixels), inputs.at_once(model))
    return np.concatenate([score(pixels[row], classes[row]) for row in rows])


def vanilla(model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer]) -> NDArray[np.float32]:
    """How strongly the score of a class changes with each pixel.

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain of each image.

    Returns:
        (n, height, width): the gradient's absolute value, the largest over channels, in score per unit of a pixel.

    Raises:
        ValueError: pixels or classes that `inputs.checked` refuses.

    Source: Simonyan et al., 2013, "Deep inside convolutional networks", section 3.1.
    """
    return _strength(_gradients(model, pixels, classes, np.ones(1), lambda images, _: images))


def smooth(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
) -> NDArray[np.float32]:
    """As `vanilla`, of the mean gradient over noisy copies of each image (SmoothGrad).

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain of each image.
        samples: Noisy copies of each image.
        noise: Standard deviation as a share of the pixel range 0..255.
        seed: Of the noise, which is the same for every image; so a map does not depend on the images beside it.

    Returns:
        (n, height, width), in score per unit of a pixel.

    Raises:
        ValueError: pixels or classes that `inputs.checked` refuses, no samples, or noise below 0.

    Source: Smilkov et al., 2017, "SmoothGrad: removing noise by adding noise".
    """
    if samples < 1 or noise < 0:
        raise ValueError(f"Expected at least one sample and noise of at least 0, got {samples} and {noise}.")

    def noisy(images: NDArray[np.float32], sample: NDArray[np.intp]) -> NDArray[np.float32]:
        numbers, own = np.unique(sample, return_inverse=True)
        drawn = [np.random.default_rng((seed, int(each))) for each in numbers]
        normal = np.stack([each.standard_normal(images.shape[1:], np.float32) for each in drawn])
        return images + np.float32(noise * _RANGE) * normal[own]

    return _strength(_gradients(model, pixels, classes, np.full(samples, 1 / samples), noisy))


def integrated(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    *,
    steps: int = 50,
    baseline: float = 0.0,
) -> NDArray[np.float32]:
    """How much each pixel adds to the score of a class, on the straight way from a blank image (Integrated Gradients).

    A map sums to `score` of the image less that of the blank image. How far it is from that is the error of the finite
    steps: compare the two, and take more steps where it matters (a large network of ReLU6 took 400 for some percent).

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain of each image.
        steps: Points on the way.
        baseline: Value of every pixel of the blank image; 0 is black. Pixels of just that value get nothing.

    Returns:
        (n, height, width), summed over channels with their signs: positive speaks for the class.

    Raises:
        ValueError: pixels or classes that `inputs.checked` refuses, no steps, or a baseline that is no number.

    Source: Sundararajan et al., 2017, "Axiomatic attribution for deep networks".
    """
    if steps < 1 or not np.isfinite(baseline):
        raise ValueError(f"Expected at least one step and a number as baseline, got {steps} and {baseline}.")
    blank = np.float32(baseline)
    # The square of even steps: points lie closer near the blank image, where scores change fastest
    root = (np.arange(steps) + 0.5) / steps

    def between(images: NDArray[np.float32], step: NDArray[np.intp]) -> NDArray[np.float32]:
        share = (root[step] ** 2).astype(np.float32)[:, None, None, None]
        return blank + share * (images - blank)

    gradient = _gradients(model, pixels, classes, 2 * root / steps, between)
    return np.asarray((gradient * (pixels.astype(np.float32) - blank)).sum(axis=-1))


def _strength(gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.abs(gradient).max(axis=-1))


def _gradients(
    model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer], weights: NDArray[np.float64], shown: Shown
) -> NDArray[np.float32]:
    """Gradients (n, height, width, channels) of the scores, each a weighted sum over as many passes as weights.

    The passes of all images stand in one row and go through one graph, as many at a time as memory holds.
    """
    inputs.checked(model, pixels, classes)
    gradient = _gradient(model)
    total = np.zeros(pixels.shape, np.float32)
    for row in inputs.pieces(len(pixels) * len(weights), inputs.at_once(model)):
        image, number = np.divmod(row, len(weights))
        found = gradient(shown(pixels[image].astype(np.float32), number), classes[image])
        found *= weights[number, None, None, None].astype(np.float32)
        own, first = np.unique(image, return_index=True)
        total[own] += np.add.reduceat(found, first, axis=0)
    return total


def _gradient(model: keras.Model) -> Callable[..., Any]:
    scored = class_scores.of(model)

    def gradient(images: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = class_scores.chosen(scored(images, training=False), classes)
        return tape.gradient(found, images)

    return inputs.traced(gradient, model)
