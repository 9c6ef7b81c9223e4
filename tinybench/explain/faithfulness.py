"""Measure how faithful a map is: the class must disappear with the map's strongest pixels, and appear with them.

Source: Petsiuk et al., 2018, "RISE". Compare a map with a random one: the areas depend on the model and the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.explain import class_scores, inputs

RANDOM = "random map"

_BLUR = 0.1  # standard deviation as a share of the longer side; the paper's 5 of 224 pixels hardly blur small images


def measure_areas(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    maps: Mapping[str, NDArray[np.floating]],
    *,
    steps: int = 20,
) -> dict[str, NDArray[np.float32]]:
    """Measure deletion and insertion area of every image by method, (2, n), and with a random map, as `RANDOM`.

    The arguments and errors are those of `deletion_area`.
    """
    random = np.random.default_rng(0).random(pixels.shape[:3], np.float32)
    return {
        name: np.stack([area(model, pixels, classes, values, steps=steps) for area in (deletion_area, insertion_area)])
        for name, values in {**maps, RANDOM: random}.items()
    }


def deletion_area(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    maps: NDArray[np.floating],
    *,
    steps: int = 20,
) -> NDArray[np.float32]:
    """Measure the area under the class probability as pixels turn into the image's mean colour, the strongest first.

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the class to explain for each image.
        maps: (n, height, width), large where the class is supported. Only the order of the values matters; equal
            values are taken row by row.
        steps: Number of equal portions in which the pixels are changed.

    Returns:
        (n,) areas in 0..1, over the fraction of pixels by the trapezoidal rule; lower is better.

    Raises:
        ValueError: `inputs.check_inputs` rejects the pixels or classes, maps have another shape or are not finite, or
            there are no steps.
    """
    _check(model, pixels, classes, maps, steps)
    mean = pixels.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    return _area(model, pixels, np.broadcast_to(mean, pixels.shape), classes, maps, steps)


def insertion_area(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    maps: NDArray[np.floating],
    *,
    steps: int = 20,
) -> NDArray[np.float32]:
    """Measure the area under the class probability as pixels of a blurred image become sharp, the strongest first.

    The arguments and errors are those of `deletion_area`; higher is better.
    """
    _check(model, pixels, classes, maps, steps)
    return _area(model, _blur(pixels), pixels, classes, maps, steps)


def _check(
    model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer], maps: NDArray[np.floating], steps: int
) -> None:
    inputs.check_inputs(model, pixels, classes)
    if maps.shape != pixels.shape[:3] or not np.isfinite(maps).all():
        raise ValueError(f"Expected finite maps {pixels.shape[:3]}, got {maps.shape}, NaN or infinity.")
    if steps < 1:
        raise ValueError(f"Expected at least one step, got {steps}.")


def _area(
    model: keras.Model,
    start: NDArray[Any],
    end: NDArray[Any],
    classes: NDArray[np.integer],
    maps: NDArray[np.floating],
    steps: int,
) -> NDArray[np.float32]:
    """Return the area under the class probability as the pixels of the start images turn into those of the end."""
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    rank = np.argsort(order, axis=1).reshape(maps.shape)  # of each pixel in its map, the strongest 0
    share = rank / maps[0].size  # of the pixels that change before it
    probabilities = np.empty(len(start) * (steps + 1), np.float32)
    probability = inputs.trace_graph(
        lambda images, labels: class_scores.select_scores(model(images, training=False), labels), model
    )
    for batch in inputs.batch_indices(len(probabilities), inputs.max_batch_size(model)):
        image, step = np.divmod(batch, steps + 1)
        changed = share[image] < (step / steps)[:, None, None]
        probabilities[batch] = probability(np.where(changed[..., None], end[image], start[image]), classes[image])
    return np.asarray(np.trapezoid(probabilities.reshape(len(start), -1), dx=1 / steps, axis=1), np.float32)


def _blur(pixels: NDArray[Any]) -> NDArray[np.float32]:
    height, width = pixels.shape[1:3]
    deviation = _BLUR * max(height, width)
    rows, columns = (_gaussian_matrix(length, deviation) for length in (height, width))
    return np.asarray(np.einsum("yY,nYXc,xX->nyxc", rows, pixels.astype(np.float32), columns, optimize=True))


def _gaussian_matrix(length: int, deviation: float) -> NDArray[np.float32]:
    """Return the matrix (length, length) that blurs along an axis; at the borders the weights are renormalised."""
    offsets = np.arange(length)
    weights = np.exp(-((offsets[:, None] - offsets) ** 2) / (2 * deviation**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
