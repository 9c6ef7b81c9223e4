"""Top-1 of `data.resize` squash, crop and pad on photographs of mixed aspect ratio.

The photographs are windows of Tiny ImageNet's images, at a random place and with an aspect ratio between 1:2 and 2:1,
so that most objects are off the middle and some are cut off by `crop`. A frozen backbone is read from a file.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

_LONG_SIDE = 64
_SEEDS = (0, 1, 2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the top-1 of each method over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="tiny-imagenet-200.zip")
    parser.add_argument("backbones", type=Path, nargs="+", help=".keras files without a classifier")
    parser.add_argument("--classes", type=int, default=40)
    parser.add_argument("--image_size", type=int, default=96)
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        os.environ["TINYBENCH_CACHE"] = f"{folder}/cache"
        for most in (1.34, 2.0):
            images = Path(folder) / f"images-{most}"
            count = write_images(options.archive, images, options.classes, most)
            print(f"aspect ratios up to {most:g}, {options.classes} classes, {count} training images", flush=True)
            for backbone in options.backbones:
                print_methods(images, backbone, options.image_size, folder)


def write_images(archive: Path, folder: Path, classes: int, most: float, per_class: int = 75) -> int:
    """Write windows of images, and return the number of training images.

    Args:
        archive: Tiny ImageNet in its original layout.
        folder: Where train/ and test/ are written.
        classes: The number of classes.
        most: The largest aspect ratio, of the long to the short side.
        per_class: The number of images of a class; each third is a test image.
    """
    generator = np.random.default_rng(0)
    count = 0
    with zipfile.ZipFile(archive) as file:
        members = sorted(name for name in file.namelist() if "/train/" in name and name.lower().endswith(".jpeg"))
        by_class: dict[str, list[str]] = {}
        for name in members:
            by_class.setdefault(name.split("/")[-3], []).append(name)
        for label in sorted(by_class)[:classes]:
            for index, name in enumerate(by_class[label][:per_class]):
                split = "test" if index % 3 == 0 else "train"
                count += split == "train"
                path = folder / split / label / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                short = round(_LONG_SIDE / np.exp(generator.uniform(0, np.log(most))))
                offset, is_wide = generator.integers(0, _LONG_SIDE - short + 1), generator.random() < 0.5
                box = (0, offset, _LONG_SIDE, offset + short) if is_wide else (offset, 0, offset + short, _LONG_SIDE)
                Image.open(io.BytesIO(file.read(name))).convert("RGB").crop(box).save(path)
    return count


def print_methods(images: Path, backbone: Path, image_size: int, folder: str) -> None:
    """Train a head on a frozen backbone with each method, and print its top-1."""
    import tinybench
    from tinybench.data.images import RESIZE_METHODS

    for method in RESIZE_METHODS:
        accuracies = []
        for seed in _SEEDS:
            settings = {
                "model": str(backbone), "weights": "imagenet", "dataset": f"folder:{images}", "image_size": image_size,
                "data.resize": method, "phases": "transfer", "transfer.epochs": 15, "seed": seed,
                "track.uri": f"sqlite:///{folder}/mlflow.db", "track.costs": "off", "track.pictures": False,
            }  # fmt: skip
            accuracies.append(tinybench.train(recipe="tiny-imagenet-tlft", **settings).metrics["test/accuracy"])
        mean, deviation = statistics.mean(accuracies), statistics.stdev(accuracies)
        print(f"  {backbone.stem}, {method}: top-1 {mean:.4f} ± {deviation:.4f}, n {len(accuracies)}", flush=True)


if __name__ == "__main__":
    main()
