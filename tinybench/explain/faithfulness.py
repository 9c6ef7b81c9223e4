"""How far a map can be believed: the class must go when the map's strongest pixels go, and come when they come.

Source: Petsiuk et al., 2018, "RISE". Judge a map beside a random one: the areas depend on the model and the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.explain import class_scores, inputs

RANDOM = "random map"

_BLUR = 0.1  # of the longer side, as standard deviation; the paper's 5 of 224 pixels leave small images as they are


def areas(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    maps: Mapping[str, NDArray[np.floating]],
    *,
    steps: int = 20,
) -> dict[str, NDArray[np.float32]]:
    """Deletion and insertion of every picture by method, (2, n) each, and by a map of chance, as `RANDOM`.

    Arguments and errors are those of `deletion`.
    """
    chance = np.random.default_rng(0).random(pixels.shape[:3], np.float32)
    return {
        name: np.stack([way(model, pixels, classes, values, steps=steps) for way in (deletion, insertion)])
        for name, values in {**maps, RANDOM: chance}.items()
    }


def deletion(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    maps: NDArray[np.floating],
    *,
    steps: int = 20,
) -> NDArray[np.float32]:
    """Area under the probability of the class as pixels become the image's mean colour, the strongest first.

    Args:
        model: From raw pixels to probabilities.
        pixels: (n, height, width, channels) in 0..255.
        classes: (n,) the explained class of each image.
        maps: (n, height, width), large where the class is seen. Only the order counts; equal ones go row by row.
        steps: Equal shares in which pixels are changed.

    Returns:
        (n,) areas in 0..1, over the share of pixels by the trapezoidal rule; lower is better.

    Raises:
        ValueError: pixels or classes that `inputs.checked` refuses, maps of another shape or with NaN, or no steps.
    """
    _check(model, pixels, classes, maps, steps)
    mean = pixels.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    return _area(model, pixels, np.broadcast_to(mean, pixels.shape), classes, maps, steps)


def insertion(
    model: keras.Model,
    pixels: NDArray[Any],
    classes: NDArray[np.integer],
    maps: NDArray[np.floating],
    *,
    steps: int = 20,
) -> NDArray[np.float32]:
    """Area under the probability of the class as pixels of a blurred image become sharp, the strongest first.

    Arguments and errors are those of `deletion`; higher is better.
    """
    _check(model, pixels, classes, maps, steps)
    return _area(model, _blurred(pixels), pixels, classes, maps, steps)


def _check(
    model: keras.Model, pixels: NDArray[Any], classes: NDArray[np.integer], maps: NDArray[np.floating], steps: int
) -> None:
    inputs.checked(model, pixels, classes)
    if maps.shape != pixels.shape[:3] or not np.isfinite(maps).all():
        raise ValueError(f"Expected maps of numbers {pixels.shape[:3]}, got {maps.shape}, NaN or infinity.")
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
    """Area under the probability while the pixels of one image become those of another."""
    share = _rank(maps) / maps[0].size  # of the pixels that go before
    found = np.empty(len(start) * (steps + 1), np.float32)
    probability = inputs.traced(
        lambda images, chosen: class_scores.chosen(model(images, training=False), chosen), model
    )
    for row in inputs.pieces(len(found), inputs.at_once(model)):
        image, step = np.divmod(row, steps + 1)
        changed = share[image] < (step / steps)[:, None, None]
        found[row] = probability(np.where(changed[..., None], end[image], start[image]), classes[image])
    return np.asarray(np.trapezoid(found.reshape(len(start), -1), dx=1 / steps, axis=1), np.float32)


def _rank(maps: NDArray[np.floating]) -> NDArray[np.intp]:
    """The place of each pixel in the order of its map, the strongest 0."""
    order = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")
    return np.argsort(order, axis=1).reshape(maps.shape)


def _blurred(pixels: NDArray[Any]) -> NDArray[np.float32]:
    height, width = pixels.shape[1:3]
    deviation = _BLUR * max(height, width)
    rows, columns = (_gaussian(length, deviation) for length in (height, width))
    return np.asarray(np.einsum("yY,nYXc,xX->nyxc", rows, pixels.astype(np.float32), columns, optimize=True))


def _gaussian(length: int, deviation: float) -> NDArray[np.float32]:
    """A matrix (length, length) that blurs along an axis; at the borders the pixels that there are share the weight."""
    places = np.arange(length)
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * deviation**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
