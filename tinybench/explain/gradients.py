"""Compute the gradient of a class score with respect to the image: plain, averaged over noise, and along a path.

The score is that of `class_scores.build_score_model`. The methods work for any model, ensembles included.
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

# From images as float32 and the number of the pass of each to the images that enter the model in that pass
Perturbation = Callable[[NDArray[np.float32], NDArray[np.intp]], NDArray[np.float32]]


def class_score(model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the score that is explained, the logit of the given class of each image, (n,).

    Raises:
        ValueError: `inputs.check_inputs` rejects the pixels or classes.
    """
    inputs.check_inputs(model, pixels, classes)
    score_model = class_scores.build_score_model(model)
    score = inputs.trace_graph(
        lambda images, labels: class_scores.select_scores(score_model(images, training=False), labels), model
    )
    batches = inputs.batch_indices(len(pixels), inputs.max_batch_size(model))
    return np.concatenate([score(pixels[batch], classes[batch]) for batch in batches])


def vanilla_gradient(model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer]) -> NDArray[np.float32]:
    """Compute how strongly the score of a class changes with each pixel.

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain for each image.

    Returns:
        (n, height, width): the absolute value of the gradient, its maximum over channels, in score per pixel unit.

    Raises:
        ValueError: `inputs.check_inputs` rejects the pixels or classes.

    Source: Simonyan et al., 2013, "Deep inside convolutional networks", section 3.1.
    """
    return _max_magnitude(_mean_gradients(model, pixels, classes, np.ones(1), lambda images, _: images))


def smooth_grad(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Compute SmoothGrad: `vanilla_gradient` of the mean gradient over noisy copies of each image.

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain for each image.
        samples: Number of noisy copies of each image.
        noise: Standard deviation of the noise as a fraction of the pixel range 0..255.
        seed: Seed of the noise, which is the same for every image, so that a map does not depend on the other images.

    Returns:
        (n, height, width), in score per pixel unit.

    Raises:
        ValueError: `inputs.check_inputs` rejects the pixels or classes, or there are no samples or negative noise.

    Source: Smilkov et al., 2017, "SmoothGrad: removing noise by adding noise".
    """
    if samples < 1 or noise < 0:
        raise ValueError(f"Expected at least one sample and noise of at least 0, got {samples} and {noise}.")

    def add_noise(images: NDArray[np.float32], sample: NDArray[np.intp]) -> NDArray[np.float32]:
        numbers, index = np.unique(sample, return_inverse=True)
        generators = [np.random.default_rng((seed, int(number))) for number in numbers]
        normal = np.stack([generator.standard_normal(images.shape[1:], np.float32) for generator in generators])
        return images + np.float32(noise * _RANGE) * normal[index]

    return _max_magnitude(_mean_gradients(model, pixels, classes, np.full(samples, 1 / samples), add_noise))


def integrated_gradients(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    *,
    steps: int = 50,
    baseline: float = 0.0,
) -> NDArray[np.float32]:
    """Compute Integrated Gradients: how much each pixel adds to the score of a class, compared with a blank image.

    A map sums to the `class_score` of the image minus that of the blank image. The difference from that is the error
    of the finite number of steps: check it, and take more steps where it matters (a large network with ReLU6 needed
    400 for an error of some percent).

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain for each image.
        steps: Number of points on the straight path from the blank image to the image.
        baseline: Value of every pixel of the blank image; 0 is black. Pixels of exactly this value get 0.

    Returns:
        (n, height, width), summed over channels with their signs: positive values support the class.

    Raises:
        ValueError: `inputs.check_inputs` rejects the pixels or classes, there are no steps, or the baseline is not
            finite.

    Source: Sundararajan et al., 2017, "Axiomatic attribution for deep networks".
    """
    if steps < 1 or not np.isfinite(baseline):
        raise ValueError(f"Expected at least one step and a number as baseline, got {steps} and {baseline}.")
    blank = np.float32(baseline)
    # Squares of evenly spaced numbers: points are denser near the blank image, where scores change fastest
    root = (np.arange(steps) + 0.5) / steps

    def interpolate(images: NDArray[np.float32], step: NDArray[np.intp]) -> NDArray[np.float32]:
        share = (root[step] ** 2).astype(np.float32)[:, None, None, None]
        return blank + share * (images - blank)

    gradient = _mean_gradients(model, pixels, classes, 2 * root / steps, interpolate)
    return np.asarray((gradient * (pixels.astype(np.float32) - blank)).sum(axis=-1))


def _max_magnitude(gradient: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the largest absolute value over channels."""
    return np.asarray(np.abs(gradient).max(axis=-1))


def _mean_gradients(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    weights: NDArray[np.float64],
    perturbation: Perturbation,
) -> NDArray[np.float32]:
    """Return the weighted sum of the gradients (n, height, width, channels) of the scores over several passes.

    The passes of all images are lined up and go through one graph, as many at a time as fit in memory.

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels).
        classes: (n,) the class to explain for each image.
        weights: (passes,) weight of the gradient of each pass.
        perturbation: Changes the images for each pass.
    """
    inputs.check_inputs(model, pixels, classes)
    gradient = _trace_gradient(model)
    total = np.zeros(pixels.shape, np.float32)
    for batch in inputs.batch_indices(len(pixels) * len(weights), inputs.max_batch_size(model)):
        image, number = np.divmod(batch, len(weights))
        gradients = gradient(perturbation(pixels[image].astype(np.float32), number), classes[image])
        gradients *= weights[number, None, None, None].astype(np.float32)
        images, first = np.unique(image, return_index=True)
        total[images] += np.add.reduceat(gradients, first, axis=0)
    return total


def _trace_gradient(model: keras.Model) -> Callable[..., Any]:
    score_model = class_scores.build_score_model(model)

    def gradient(images: Any, classes: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            scores = class_scores.select_scores(score_model(images, training=False), classes)
        return tape.gradient(scores, images)

    return inputs.trace_graph(gradient, model)
