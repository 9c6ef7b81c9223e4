"""Training small networks beside plain Keras: `python -m benchmarks.networks`.

The same network on the same arrays, without augmentation, each side in a process of its own, in turn. Plain Keras is
`model.fit` on uint8 arrays. A third side is tinybench with `deterministic=false`, which takes oneDNN's kernels where
TensorFlow leaves them out. Takes twenty minutes on two cores. `python -m benchmarks.networks accuracy FOLDER` trains on
real images instead, CIFAR-10's of an archive in that folder, with three seeds, and prints accuracies: an hour.
"""

import json
import statistics
import subprocess
import sys
import time

import numpy as np

_NETWORKS = ("cifar10-simple5", "cifar10-vgg10", "cifar10-resnet20")
_IMAGES, _HELD, _EPOCHS, _TURNS = 3_200, 500, 4, 2
_REAL_IMAGES, _REAL_EPOCHS, _SEEDS = 4_000, 6, 3
_SIDES = {"plain Keras": "_plain", "tinybench": "_ours", "tinybench, deterministic=false": "_ours_at_will"}


def _dataset(folder: str):
    """CIFAR-10's images of a folder, the test images as those that are held out; made ones without a folder."""
    if not folder:
        return _random_dataset()
    from dataclasses import replace

    from tinybench import data
    from tinybench.config.sections import DataConfig

    dataset = data.load("cifar10", DataConfig(root=folder, per_class=_REAL_IMAGES // 9), 0, image_size=32)
    return replace(dataset, validation=dataset.test)


def _random_dataset():
    """Return random images that a network can learn from: noise with a square whose colour depends on the class."""
    from tinybench.data import fingerprint
    from tinybench.data.dataset import Dataset, ImagePool, Split

    generator = np.random.default_rng(0)
    count = _IMAGES + 2 * _HELD
    labels = generator.integers(0, 10, count).astype(np.int32)
    pixels = generator.integers(0, 256, (count, 32, 32, 3), np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        row, column = generator.integers(0, 20, 2)
        image[row : row + 12, column : column + 12] = (25 * label, 255 - 25 * label, 60 * (label % 5))
    pool = ImagePool(pixels, labels, fingerprint.hash_images(pixels))
    row_groups = np.split(np.arange(count), [_IMAGES, _IMAGES + _HELD])
    splits = [Split(pool, rows, labels[rows]) for rows in row_groups]
    return Dataset("made", *splits, tuple(map(str, range(10))), (32, 32, 3), "made", "made", "here")


def _config(recipe: str, epochs: int, seed: int = 0, *, deterministic: bool = True):
    from tinybench.recipes.resolve import resolve

    plain = {"optimizer.name": "adam", "scratch.schedule": "constant", "scratch.warmup": 0, "scratch.patience": None}
    without = {"augment.flip": False, "augment.rotation": 0, "augment.zoom": 0, "augment.translation": 0}
    return resolve(
        recipe,
        plain
        | without
        | {
            "augment.crop": 0,
            "scratch.lr": 1e-3,
            "scratch.epochs": epochs,
            "seed": seed,
            "deterministic": deterministic,
        },
    )


def _ours(recipe: str, seed: int, folder: str, deterministic: bool = True) -> dict[str, float]:
    from tinybench.hardware import onednn

    config = _config(recipe, _epochs(folder), seed, deterministic=deterministic)
    onednn.allow_onednn(deterministic)
    from benchmarks import phase
    from tinybench import models
    from tinybench.hardware import allocator, device

    allocator.keep_freed_memory()
    dataset = _dataset(folder)
    device.make_repeatable(seed, config.deterministic)
    model = models.build(config, dataset.shape, 10)
    progress, _ = phase.train(model, config, "scratch", dataset)
    speeds = [epoch.metrics["train/images_per_second"] for epoch in progress.epochs[1:]]
    return {"speed": statistics.median(speeds), "accuracy": progress.epochs[-1].metrics["val/accuracy"]}


def _ours_at_will(recipe: str, seed: int, folder: str) -> dict[str, float]:
    return _ours(recipe, seed, folder, deterministic=False)


def _plain(recipe: str, seed: int, folder: str) -> dict[str, float]:
    import keras

    from tinybench import models

    config, dataset = _config(recipe, _epochs(folder), seed), _dataset(folder)
    keras.utils.set_random_seed(seed)
    whole = models.build(config, dataset.shape, 10)
    # The saved model calls its backbone in inference mode; who writes the network by hand does not
    backbone = whole.get_layer("backbone")
    head = keras.Model(whole.get_layer("pooling").input, whole.output)
    pixels = keras.Input(dataset.shape)
    model = keras.Model(pixels, head(backbone(pixels)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = dataset.train.images(), dataset.train.labels
    seconds = []
    for _ in range(config.scratch.epochs):
        began = time.perf_counter()
        model.fit(images, labels, batch_size=config.batch_size, epochs=1, verbose=0)
        seconds.append(time.perf_counter() - began)
    held = model.evaluate(dataset.validation.images(), dataset.validation.labels, verbose=0)
    return {"speed": len(labels) / statistics.median(seconds[1:]), "accuracy": held[1]}


def _epochs(folder: str) -> int:
    return _REAL_EPOCHS if folder else _EPOCHS


def _child(side: str, recipe: str, seed: int = 0, folder: str = "") -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.networks", side, recipe, str(seed), folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print a line for each network, and the geometric means of the ratios."""
    ratios: dict[str, list[float]] = {name: [] for name in _SIDES}
    for recipe in _NETWORKS:
        turns = [{name: _child(side, recipe) for name, side in _SIDES.items()} for _ in range(_TURNS)]
        cells = []
        for name in _SIDES:
            speed, accuracy = (statistics.median(turn[name][key] for turn in turns) for key in ("speed", "accuracy"))
            plain = statistics.median(turn["plain Keras"]["speed"] for turn in turns)
            ratios[name].append(speed / plain)
            cells.append(f"{name} {speed:,.0f} images/s ({speed / plain:.2f} times, accuracy {accuracy:.3f})")
        print(f"{recipe}: {', '.join(cells)}", flush=True)
    means = [f"{name} {statistics.geometric_mean(values):.2f}" for name, values in ratios.items()]
    print(f"geometric means: {', '.join(means[1:])} times (wanted 1.7)")


def accuracy(folder: str) -> None:
    """Print the accuracy of each side on the test images, the mean over seeds and its standard error."""
    for recipe in _NETWORKS:
        cells = []
        for name, side in _SIDES.items():
            accuracies = [_child(side, recipe, seed, folder)["accuracy"] for seed in range(_SEEDS)]
            error = statistics.stdev(accuracies) / _SEEDS**0.5
            cells.append(f"{name} {statistics.mean(accuracies):.4f} +- {error:.4f}")
        print(f"{recipe}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            main()
        case ["accuracy", folder]:
            accuracy(folder)
        case [function, network, seed, folder]:
            print(json.dumps(globals()[function](network, int(seed), folder)))
