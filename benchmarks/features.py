"""Kept features and the fastest engine beside plain Keras: `make bench-features`.

Four kinds of work, each side in a process of its own, in turn. Passes over ResNet50 are timed on a few hundred images
and counted for the whole of Tiny ImageNet (90,000 + 10,000 images); EfficientNet-Lite0 with 2,000 images is
measured whole where TINYBENCH_DATA has it. Takes about an hour on two cores; `quick` as an argument times fewer images.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_TRAIN, _HELD, _EPOCHS = 90_000, 10_000, 15
_TRIALS, _TIMED_TRIALS, _TRIAL_IMAGES = 50, 16, 10_000
_FINETUNE_EPOCHS, _UNFROZEN = 5, 32
_QUICK = "quick" in sys.argv
_IMAGES = 64 if _QUICK else 256
_TURNS = 1 if _QUICK else 2


def _settings(**overrides: Any) -> Any:
    from tinybench.recipes.resolve import resolve

    return resolve(None, {"weights": "none", "cache.budget": "100GB", **overrides})


def _random_dataset(images: int) -> Any:
    """Return a data set of random pixels; their content does not affect how long they take."""
    from tinybench.data import fingerprint
    from tinybench.data.dataset import Dataset, ImagePool, Split

    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, 64, 64, 3), np.uint8)
    labels = generator.integers(0, 200, images).astype(np.int32)
    pool = ImagePool(pixels, labels, fingerprint.hash_images(pixels))
    held = images // 10
    splits = [
        Split(pool, rows, labels[rows]) for rows in np.split(np.arange(images), [images - 2 * held, images - held])
    ]
    return Dataset("made", *splits, tuple(map(str, range(200))), (64, 64, 3), "made", "made", "here")


@contextmanager
def _own_cache() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYBENCH_CACHE"] = folder
        yield


def _ours_passes(unfrozen: int, images: int) -> dict[str, float]:
    """Seconds to choose an engine; seconds an image to fill the bank, to train and to validate above it."""
    from tinybench import models
    from tinybench.features import engine_selection
    from tinybench.training import phases
    from tinybench.training.steps import Steps

    phase = "finetune" if unfrozen else "transfer"
    config = _settings(**{"finetune.unfreeze": unfrozen or 1})
    model = models.build(config, (64, 64, 3), 200)
    cut = phases.find_phase_cut(model, config, phase)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 64, 64, 3)).astype(np.float32)
    began = time.perf_counter()
    engine = engine_selection.choose_engine(cut.extractor, pixels[:64], 100_000).engine
    chosen = time.perf_counter()
    engine(pixels)
    filled = time.perf_counter()

    trainer = phases.build_trainer(model, config, phase, cut)
    steps = Steps(trainer, config.batch_size)
    table = _Table(cut.shape, images if unfrozen else 20_000)
    steps.train(table, lambda step, losses: None)
    steps.evaluate(table)
    started = time.perf_counter()
    steps.train(table, lambda step, losses: None)
    trained = time.perf_counter()
    steps.evaluate(table)
    return {
        "choose": chosen - began,
        "fill": (filled - chosen) / images,
        "train": (trained - started) / len(table),
        "validate": (time.perf_counter() - trained) / len(table),
        "engine": engine.name,
    }


class _Table:
    """Made features that are on the device."""

    def __init__(self, shape: tuple[int, ...], count: int) -> None:
        import keras

        generator = np.random.default_rng(0)
        self._features = keras.ops.convert_to_tensor(generator.random((count, *shape), np.float32).astype(np.float16))
        self._labels = keras.ops.convert_to_tensor(generator.integers(0, 200, count).astype(np.int32))
        self._rows = generator.permutation(count)
        self.max_images = count

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        return self._features, self._labels, self._rows[start:stop]


def _ours_trials(trials: int) -> dict[str, float]:
    """Seconds of trials over lr, dropout and hidden units, each from building its model to its best weights.

    Their bank holds made features: what filling it takes is counted by `_ours_passes`.
    """
    from benchmarks import phase
    from tinybench import models
    from tinybench.features import engine_selection

    generator = np.random.default_rng(0)

    class Made:
        name, precision = "keras", "float32"

        def __call__(self, pixels: Any) -> Any:
            return generator.random((len(pixels), 2048), np.float32)

    engine_selection.choose_engine = lambda *args, **kwargs: engine_selection.EngineChoice(
        Made(), (engine_selection.EngineMeasurement("keras", "float32", 1.0),)
    )
    dataset = _random_dataset(_TRIAL_IMAGES * 10 // 9)
    seconds = []
    for trial in range(-1, trials):
        config = _settings(
            **{
                "transfer.lr": 10 ** generator.uniform(-4, -2),
                "head.dropout": generator.uniform(0, 0.6),
                "head.hidden": int(generator.choice([64, 128, 256, 512])),
                "transfer.patience": None,
            }
        )
        began = time.perf_counter()
        model = models.build(config, dataset.shape, 200)
        phase.train(model, config, "transfer", dataset)
        if trial >= 0:  # the first fills the bank
            seconds.append(time.perf_counter() - began)
    return {"trial": float(np.mean(seconds))}


def _lite0(images: int) -> tuple[Any, Any, Any]:
    from tinybench import data

    root = Path(os.environ["TINYBENCH_DATA"])
    config = _settings(
        **{
            "model": str(root / "efficientnet_lite0_imagenet_notop.keras"),
            "weights": "imagenet",
            "data.root": str(root),
            "data.per_class": images // 180,
            "transfer.lr": 1e-3,
            "transfer.patience": None,
            "transfer.epochs": _EPOCHS,
        }
    )
    return config, data.load(config.dataset, config.data, 0, image_size=224), str(config.model)


def _ours_lite0(images: int) -> dict[str, float]:
    """Seconds of a whole transfer phase, from loading the backbone to the best weights, and its accuracy."""
    from benchmarks import phase
    from tinybench import models

    config, dataset, _ = _lite0(images)
    began = time.perf_counter()
    model = models.build(config, dataset.shape, 200)
    progress, fed = phase.train(model, config, "transfer", dataset)
    whole = time.perf_counter() - began
    return {"whole": whole, "until filled": fed, "accuracy": progress.epochs[-1].metrics["val/accuracy"]}


def _plain_lite0(images: int) -> dict[str, float]:
    from benchmarks import plain_keras

    _, dataset, path = _lite0(images)
    train, held = ((split.images(), split.labels) for split in (dataset.train, dataset.validation))
    whole, accuracy = plain_keras.lite0_whole(path, train, held, _EPOCHS)
    return {"whole": whole, "accuracy": accuracy}


def _plain_passes(unfrozen: int, images: int) -> dict[str, float]:
    from benchmarks import plain_keras

    train, validate = plain_keras.resnet50_passes(unfrozen, images)
    return {"train": train, "validate": validate}


def _peak() -> dict[str, float]:
    """Return the GFLOP/s of a large float32 matrix product, the peak of this machine."""
    side, times = 4096, []
    first, second = (np.random.default_rng(0).random((side, side), np.float32) for _ in range(2))
    for _ in range(4):
        began = time.perf_counter()
        first @ second
        times.append(time.perf_counter() - began)
    return {"gflops": 2 * side**3 / min(times) / 1e9}


def _child(name: str, *arguments: int) -> dict[str, Any]:
    """Return the result of a function of this file that runs in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.features", name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def _in_turn(plain: str, ours: str, *arguments: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the median of each metric, with both sides measured in turn."""
    pairs = [(_child(plain, *arguments), _child(ours, *arguments)) for _ in range(_TURNS)]
    return _medians([pair[0] for pair in pairs]), _medians([pair[1] for pair in pairs])


def _medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    by_name = {name: [run[name] for run in runs] for name in runs[0]}
    return {name: run[0] if isinstance(run[0], str) else statistics.median(run) for name, run in by_name.items()}


def _row(work: str, plain: float, ours: float, target: float) -> None:
    print(
        f"{work}: plain Keras {plain:,.0f} s, tinybench {ours:,.0f} s: {plain / ours:.1f} times (wanted {target:.0f})",
        flush=True,
    )


def main() -> None:
    """Print a line for each kind of work, and where the time goes."""
    plain, ours = _in_turn("_plain_passes", "_ours_passes", 0, _IMAGES)
    print(
        f"ResNet50 at 224 px, images/s: plain training {1 / plain['train']:.1f}, plain validation "
        f"{1 / plain['validate']:.1f}; filling by {ours['engine']} {1 / ours['fill']:.1f}, "
        f"head {1 / ours['train']:,.0f}"
    )
    usual = _EPOCHS * (_TRAIN * plain["train"] + _HELD * plain["validate"])
    fill = ours["choose"] + (_TRAIN + _HELD) * ours["fill"]
    head = _EPOCHS * (_TRAIN * ours["train"] + _HELD * ours["validate"])
    _row(f"transfer, {_EPOCHS} epochs of Tiny ImageNet, ResNet50", usual, fill + head, 40)
    peak = _child("_peak")["gflops"]
    print(
        f"  filling {fill:,.0f} s, head {head:,.0f} s; filling runs at {7.7 / ours['fill']:.0f} GFLOP/s, "
        f"a large matrix product at {peak:.0f}"
    )

    trials = _child("_ours_trials", 4 if _QUICK else _TIMED_TRIALS)["trial"]
    usual = _TRIALS * _EPOCHS * _TRIAL_IMAGES * (0.9 * plain["train"] + 0.1 * plain["validate"])
    fill = ours["choose"] + _TRIAL_IMAGES * ours["fill"]
    _row(f"{_TRIALS} transfer trials, {_TRIAL_IMAGES:,} images, ResNet50", usual, fill + _TRIALS * trials, 300)
    print(f"  filling {fill:,.0f} s, a trial {trials:.1f} s (mean of those timed)")

    plain, ours = _in_turn("_plain_passes", "_ours_passes", _UNFROZEN, _IMAGES)
    usual = _FINETUNE_EPOCHS * (_TRAIN * plain["train"] + _HELD * plain["validate"])
    fill = ours["choose"] + (_TRAIN + _HELD) * ours["fill"]
    above = _FINETUNE_EPOCHS * (_TRAIN * ours["train"] + _HELD * ours["validate"])
    _row(f"fine-tuning ResNet50's last {_UNFROZEN} layers, {_FINETUNE_EPOCHS} epochs", usual, fill + above, 6)
    print(
        f"  images/s: plain {1 / plain['train']:.1f}, filling {1 / ours['fill']:.1f}, "
        f"above the cut {1 / ours['train']:.1f}"
    )

    if not os.environ.get("TINYBENCH_DATA"):
        print("EfficientNet-Lite0: TINYBENCH_DATA names no folder with it")
        return
    images = 360 if _QUICK else 2000
    ours, plain = _child("_ours_lite0", images), _child("_plain_lite0", images)
    _row(
        f"transfer, {_EPOCHS} epochs, EfficientNet-Lite0, {images:,} images, measured whole",
        plain["whole"],
        ours["whole"],
        10,
    )
    print(
        f"  until the bank was filled {ours['until filled']:.0f} s; validation accuracy plain {plain['accuracy']:.3f}, "
        f"tinybench {ours['accuracy']:.3f}"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("_"):
        if sys.argv[1].startswith("_ours"):
            from tinybench.hardware import allocator

            allocator.keep_freed_memory()  # as the command line does
        with _own_cache():
            print(json.dumps(globals()[sys.argv[1]](*map(int, sys.argv[2:]))))
    else:
        main()
