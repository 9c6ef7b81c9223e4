"""What kept features cost in accuracy: heads trained on them beside live training, over seeds, on the same test images.

Wants real photographs and a pretrained backbone in the folder TINYBENCH_DATA. Prints top-1 for each choice of
`transfer.views` (or `finetune.views`, after a transfer phase on plain features), and the difference from live training
with a 95 % interval (seeds and images resampled).

    python -m benchmarks.feature_accuracy [classes] [seeds] [images a class] [finetune]
"""

import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.phase import train
from tinybench import data, models
from tinybench.config.run_config import RunConfig
from tinybench.hardware import device
from tinybench.recipes.resolve import resolve

_VIEWS = ("live", 0, 1, 2)
_EPOCHS = 15
_RESAMPLES = 10_000


def _config(classes: int, images: int, seed: int, phase: str, views: int | str) -> RunConfig:
    root = Path(os.environ["TINYBENCH_DATA"])
    return resolve(
        None,
        {
            "model": str(root / "efficientnet_lite0_imagenet_notop.keras"),
            "data.root": str(root),
            "data.classes": classes,
            "data.per_class": images,
            "seed": seed,
            f"{phase}.views": views,
            "transfer.epochs": _EPOCHS,
            "transfer.lr": 1e-3,
        },
    )


def _correct_images(config: RunConfig, phase: str) -> NDArray[np.bool_]:
    """Return which test images a model classifies correctly after the phase."""
    device.make_repeatable(config.seed, True)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    model = models.build(config, dataset.shape, len(dataset.class_names))
    for name in ("transfer", "finetune") if phase == "finetune" else ("transfer",):
        train(model, config, name, dataset)
    predicted = model.predict(dataset.test.images(), batch_size=config.batch_size, verbose=0)
    return predicted.argmax(axis=1) == dataset.test.labels


def _interval(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """95 % interval of a mean over (seeds, images), both resampled."""
    generator = np.random.default_rng(0)
    seeds, images = differences.shape
    means = [
        differences[generator.integers(seeds, size=seeds)][:, generator.integers(images, size=images)].mean()
        for _ in range(_RESAMPLES)
    ]
    return np.percentile(means, [2.5, 97.5])


def main(classes: int = 100, seeds: int = 3, images: int = 60, phase: str = "transfer") -> None:
    """Train and print."""
    right: dict[int | str, list[NDArray[np.bool_]]] = {views: [] for views in _VIEWS}
    for seed in range(seeds):
        for views in _VIEWS:
            right[views].append(_correct_images(_config(classes, images, seed, phase, views), phase))
            print(f"seed {seed}, views {views}: top-1 {right[views][-1].mean():.4f}", flush=True)
    live = np.array(right["live"], float)
    for views in _VIEWS:
        correct = np.array(right[views], float)
        of_seeds = correct.mean(axis=1)
        low, high = _interval(correct - live)
        print(
            f"views {views}: top-1 {of_seeds.mean():.4f} ± {of_seeds.std(ddof=1):.4f} ({seeds} seeds), "
            f"less live {(correct - live).mean():+.4f} [{low:+.4f}, {high:+.4f}]"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), *sys.argv[4:])
