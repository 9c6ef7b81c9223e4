"""Classify a JPEG image as a service does: decode it, resize it, compute the class."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tinybench.data import images
from tinybench.efficiency.runners import CompiledModel

_WIDTH, _HEIGHT = 500, 375  # pixels, as most images of ImageNet


def build_jpeg_call(compiled: CompiledModel, shape: tuple[int, int, int]) -> Callable[[], int]:
    """Return a call that turns the bytes of a JPEG image of 500 by 375 pixels into the number of its class.

    Args:
        compiled: A model compiled for batches of one; each call places its input anew, as a service must.
        shape: Height, width and channels of the model's input.
    """
    encoded = _encode_jpeg()
    height, width, channels = shape
    pixels = np.zeros((1, *shape), np.float32)

    def call() -> int:
        decoded = images.decode(encoded, channels=1 if channels == 1 else 3)
        pixels[0] = images.resize(decoded, (height, width), "squash")
        return int(np.argmax(compiled.run(compiled.place_input(pixels))))

    return call


def _encode_jpeg() -> bytes:
    """Return the same JPEG image in every process: coloured squares with smooth edges, neither flat nor pure noise."""
    squares: Any = np.random.default_rng(0).integers(0, 256, (_HEIGHT // 25, _WIDTH // 25, 3), np.uint8)
    image = Image.fromarray(squares).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
