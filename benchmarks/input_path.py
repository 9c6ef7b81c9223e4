"""The input path alone, from the uint8 cache to a batch on the device, beside what the fastest backbone takes.

Made pixels in a memory-mapped file stand for Tiny ImageNet: where they come from does not change the path.
"""

import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from tinybench import models
from tinybench.data.dataset import ImagePool, Split
from tinybench.features.batches import epoch_order
from tinybench.recipes.resolve import resolve
from tinybench.training import phases

_IMAGES = 20_000
_SHAPE = (64, 64, 3)
_BATCH = 32


def _split(folder: Path) -> Split:
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, (_IMAGES, *_SHAPE))
    pixels[:] = np.random.default_rng(0).integers(0, 256, _SHAPE, dtype=np.uint8)
    pool = ImagePool(pixels, np.zeros(_IMAGES, np.int32), np.zeros(_IMAGES, "S16"))
    return Split(pool, np.arange(_IMAGES), pool.labels)


def _input_speed(split: Split) -> float:
    """Images a second, each batch gathered in shuffled order and put on the device."""
    order = epoch_order(_IMAGES, 0, 0)
    began = time.perf_counter()
    for start in range(0, _IMAGES, _BATCH):
        keras.ops.convert_to_tensor(split.images(order[start : start + _BATCH]))
    return _IMAGES / (time.perf_counter() - began)


def _training_speed(name: str, side: int) -> float:
    """Images a second of transfer training on one batch, the fastest of a few steps."""
    config = resolve(None, {"model": name, "weights": "none", "image_size": side})
    trainer = phases.build_trainer(models.build(config, _SHAPE, 200), config, "transfer")
    pixels, labels = np.zeros((_BATCH, *_SHAPE), np.uint8), np.zeros(_BATCH, np.int32)
    trainer.train_on_batch(pixels, labels)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        trainer.train_on_batch(pixels, labels)
        times.append(time.perf_counter() - began)
    return _BATCH / min(times)


def main() -> None:
    """Print both speeds and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        read = _input_speed(_split(Path(folder)))
    for name, side in (("efficientnetb0", 224), ("mobilenetv2", 64)):
        training_speed = _training_speed(name, side)
        print(
            f"input path {read:,.0f} images/s; {name} at {side} px trains on {training_speed:,.0f}: "
            f"{read / training_speed:.0f} times"
        )


if __name__ == "__main__":
    main()
