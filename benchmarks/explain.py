"""Fifty Grad-CAMs in one batch against one by one: in one graph, and by a call of its own for each image."""

import time
from collections.abc import Callable

import numpy as np

from tinybench import models
from tinybench.explain import gradcam
from tinybench.recipes.resolve import resolve

_IMAGES = 50
_CALLS = 5  # each traces its graph anew, and takes as long as the next
_TURNS = 2
_CASES = (("smallcnn", 32), ("mobilenetv2", 128), ("efficientnetb0", 224))


def _seconds(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def main() -> None:
    """Print a line a network: seconds, and how many times faster one batch is."""
    for name, side in _CASES:
        model = models.build(resolve(None, {"model": name, "weights": "none", "image_size": side}), (side, side, 3), 10)
        generator = np.random.default_rng(0)
        pixels = generator.integers(0, 256, (_IMAGES, side, side, 3), np.uint8)
        classes = generator.integers(0, 10, _IMAGES)

        def together(images=pixels, labels=classes, model=model, batch_size=None):
            return gradcam.grad_cam(model, images, labels, batch_size=batch_size)

        def called(model=model, images=pixels, labels=classes):
            for place in range(_CALLS):
                gradcam.grad_cam(model, images[[place]], labels[[place]])

        together()
        batch = min(_seconds(together) for _ in range(_TURNS))
        single = min(_seconds(lambda: together(batch_size=1)) for _ in range(_TURNS))
        calls = _seconds(called) * _IMAGES / _CALLS
        print(
            f"{_IMAGES} Grad-CAMs of {name} at {side} px: {batch:.2f} s in one batch, {single:.2f} s one by one "
            f"through one graph ({single / batch:.1f} times), {calls:.1f} s by a call each ({calls / batch:.0f} times)",
            flush=True,
        )


if __name__ == "__main__":
    main()
