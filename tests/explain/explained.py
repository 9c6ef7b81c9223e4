"""Models to explain, and images with a planted cue: a vivid square at a random place tells the class."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench import models
from tinybench.recipes.resolve import resolve

SIDE = 32
SQUARE = 8
VIVID = np.array([[240, 20, 20], [20, 240, 20], [20, 20, 240]])
DULL = VIVID // 3 + 85  # of the class without a cue, so that no colour elsewhere, and no trace of one, tells a class


class Planted(NamedTuple):
    """A network that has learned the cue, and new images with one.

    Attributes:
        inside: (n, height, width) where the square is.
    """

    model: keras.Model
    pixels: NDArray[np.uint8]
    classes: NDArray[np.int32]
    inside: NDArray[np.bool_]


def built(name: str = "smallcnn", shape: tuple[int, int, int] = (SIDE, SIDE, 3), classes: int = 3, **settings):
    """A whole model with random weights."""
    keras.utils.set_random_seed(0)
    chosen = {"model": name, "weights": "none", "image_size": SIDE, "head.hidden": "none"} | settings
    return models.build(resolve(None, chosen), shape, classes)


def small(**settings) -> keras.Model:
    return built(**{"network.filters": [8, 16], "network.blocks": 1} | settings)


def images(count: int, shape: tuple[int, int, int] = (SIDE, SIDE, 3), seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def squares(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.bool_]]:
    """Noise with a square at a random place, vivid in the colour of classes 0 to 2, dull in any colour in class 3."""
    generator = np.random.default_rng(seed)
    pixels = images(count, seed=seed)
    colours = generator.integers(0, len(VIVID), count)
    vivid = generator.random(count) < 0.6
    inside = np.zeros((count, SIDE, SIDE), bool)
    for place, (row, column) in enumerate(generator.integers(0, SIDE - SQUARE + 1, (count, 2))):
        inside[place, row : row + SQUARE, column : column + SQUARE] = True
        pixels[place][inside[place]] = (VIVID if vivid[place] else DULL)[colours[place]]
    return pixels, np.where(vivid, colours, len(VIVID)).astype(np.int32), inside


def planted() -> Planted:
    model = small(classes=len(VIVID) + 1)
    backbone = model.get_layer("backbone")
    trainer = keras.Sequential([backbone, *model.layers[model.layers.index(backbone) + 1 :]])
    trainer.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    pixels, classes, _ = squares(768, seed=1)
    trainer.fit(pixels, classes, epochs=20, batch_size=32, verbose=0)
    pixels, classes, inside = squares(32, seed=2)
    assert (model.predict(pixels, verbose=0).argmax(axis=1) == classes).all(), "the cue was not learned"
    seen = classes < len(VIVID)
    return Planted(model, pixels[seen], classes[seen], inside[seen])


def mass(maps: NDArray[np.floating], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each map the share (n,) of what speaks for the class that lies inside."""
    positive = np.maximum(maps, 0).astype(np.float64)
    return (positive * inside).sum(axis=(1, 2)) / positive.sum(axis=(1, 2))
