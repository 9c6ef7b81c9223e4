"""The whole way of a service: a JPEG's bytes decoded, resized and classified."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tinybench.data import images
from tinybench.efficiency.runners import Compiled

_WIDTH, _HEIGHT = 500, 375  # as most of ImageNet's


def way(compiled: Compiled, shape: tuple[int, int, int]) -> Callable[[], int]:
    """A call from the bytes of a picture of 500 by 375 to the number of its class.

    Args:
        compiled: For batches of one; its input is placed anew in every call, as a service must.
        shape: Height, width and channels of the model's input.
    """
    encoded = _jpeg()
    height, width, channels = shape
    pixels = np.zeros((1, *shape), np.float32)

    def call() -> int:
        decoded = images.decode(encoded, channels=1 if channels == 1 else 3)
        pixels[0] = images.resize(decoded, (height, width))
        return int(np.argmax(compiled.run(compiled.place(pixels))))

    return call


def _jpeg() -> bytes:
    """Something between a smooth and a noisy picture, the same every time."""
    generator = np.random.default_rng(0)
    coarse: Any = generator.integers(0, 256, (_HEIGHT // 25, _WIDTH // 25, 3), np.uint8)
    picture = Image.fromarray(coarse).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
