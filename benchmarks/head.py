"""A head on kept features: Keras's own `fit`, our loop with Keras's Adam, and our loop with Adam in one operation."""

import time
from collections.abc import Callable

import keras
import numpy as np

from tinybench.training import optimizers
from tinybench.training.steps import ArraySource, Steps

_FEATURES, _CLASSES, _IMAGES, _BATCH = 1280, 200, 20_000, 32
_TURNS = 3


def _head(optimizer: type[keras.optimizers.Adam]) -> keras.Model:
    features = keras.Input((_FEATURES,))
    x = keras.layers.Dropout(0.3)(features)
    x = keras.layers.Dense(256, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    found = keras.Model(features, keras.layers.Dense(_CLASSES, activation="softmax")(x))
    loss = keras.losses.SparseCategoricalCrossentropy()
    top5 = keras.metrics.SparseTopKCategoricalAccuracy(5)
    found.compile(optimizer(1e-4), loss, metrics=[keras.metrics.SparseCategoricalAccuracy(), top5])
    return found


def main() -> None:
    """Print milliseconds a step and the ratios."""
    generator = np.random.default_rng(0)
    features = generator.standard_normal((_IMAGES, _FEATURES), np.float32)
    labels = generator.integers(0, _CLASSES, _IMAGES).astype(np.int32)
    plain = _head(keras.optimizers.Adam)
    table = ArraySource(keras.ops.convert_to_tensor(features.astype(np.float16)), keras.ops.convert_to_tensor(labels))
    loops = [Steps(_head(adam), _BATCH) for adam in (keras.optimizers.Adam, optimizers.Adam)]

    ways: list[Callable[[], object]] = [lambda: plain.fit(features, labels, batch_size=_BATCH, verbose=0)]
    ways += [lambda loop=loop: loop.train(table, lambda step, losses: None) for loop in loops]  # type: ignore[misc]
    times: list[list[float]] = [[] for _ in ways]
    for turn in range(-1, _TURNS):
        for way, seconds in zip(ways, times, strict=True):
            began = time.perf_counter()
            way()
            if turn >= 0:  # the first compiles
                seconds.append(time.perf_counter() - began)
    fit, loop, fused = (1000 * min(seconds) / (_IMAGES / _BATCH) for seconds in times)
    print(
        f"a step of a head: Keras fit {fit:.2f} ms, steps in the graph {loop:.2f} ms ({fit / loop:.1f} times), "
        f"with Adam in one operation {fused:.2f} ms ({fit / fused:.1f} times)"
    )


if __name__ == "__main__":
    main()
