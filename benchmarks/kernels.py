"""oneDNN's kernels beside TensorFlow's own, where TensorFlow would not take them by itself.

A training step of 32 images at 96 pixels, and a frozen forward pass of as many at 224, each in a process of its own,
in turn: `python -m benchmarks.kernels`.
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np

_STEPS = 6
_WORK = [
    ("ResNet50", 96, "training"),
    ("MobileNetV2", 96, "training"),
    ("EfficientNetB0", 96, "training"),
    ("DenseNet121", 96, "training"),
    ("ResNet50", 224, "frozen"),
    ("MobileNetV2", 224, "frozen"),
]


def _step(name: str, size: int, kind: str) -> float:
    """Median seconds of a training step of a backbone with a small head."""
    import keras

    backbone = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(size, size, 3))
    backbone.trainable = kind == "training"
    head = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(20, activation="softmax")]
    model = keras.Sequential([backbone, *head])
    model.compile("adam", "sparse_categorical_crossentropy")
    generator = np.random.default_rng(0)
    pixels = generator.random((32, size, size, 3), np.float32)
    labels = generator.integers(0, 20, 32)
    seconds = []
    for _ in range(_STEPS + 1):
        began = time.perf_counter()
        model.train_on_batch(pixels, labels)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])  # the first one builds the graph


def _timed(onednn: str, *work: object) -> float:
    words = [sys.executable, "-m", "benchmarks.kernels", *map(str, work)]
    done = subprocess.run(
        words,
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": onednn, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout.splitlines()[-1])


def main() -> None:
    """Print a line for each backbone."""
    for name, size, kind in _WORK:
        own, onednn = (_timed(value, name, size, kind) for value in "01")
        print(
            f"{name}, {size} px, {kind}: {own:.3f} s, with oneDNN {onednn:.3f} s: {own / onednn:.2f} times", flush=True
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(_step(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
    else:
        main()
