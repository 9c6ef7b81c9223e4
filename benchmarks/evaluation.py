"""What judging costs beside asking: `python -m benchmarks.evaluation`.

10,000 images of 64 pixels are asked of MobileNetV2 with 200 classes by Keras's `predict`, and asked and judged by
tinybench (every figure, 2,000 resamples, temperature), in turn. Takes two minutes on two cores.
"""

import statistics
import time

import numpy as np

_IMAGES, _CLASSES, _SIDE, _TURNS = 10_000, 200, 64, 3


def main() -> None:
    """Print both times and their ratio, and the time of the intervals alone."""
    from tinybench import models
    from tinybench.data.dataset import ImagePool, Split
    from tinybench.evaluation import intervals
    from tinybench.evaluation.predict_split import SplitPredictor
    from tinybench.evaluation.split_metrics import evaluate_predictions
    from tinybench.recipes.resolve import resolve

    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (_IMAGES, _SIDE, _SIDE, 3), np.uint8)
    labels = generator.integers(0, _CLASSES, _IMAGES).astype(np.int32)
    split = Split(ImagePool(pixels, labels, np.zeros(_IMAGES, "S16")), np.arange(_IMAGES), labels)
    chosen = resolve(None, {"model": "mobilenetv2", "weights": "none", "image_size": _SIDE})
    model = models.build(chosen, pixels.shape[1:], _CLASSES)
    predictor = SplitPredictor(model)
    bare, judged = [], []
    for turn in range(_TURNS + 1):
        began = time.perf_counter()
        model.predict(pixels, batch_size=64, verbose=0)
        between = time.perf_counter()
        answers = predictor.predict(split, 64)
        evaluate_predictions(answers, answers)
        if turn:  # the first one traces
            bare.append(between - began)
            judged.append(time.perf_counter() - between)
    began = time.perf_counter()
    intervals.bootstrap_intervals(labels, answers.probabilities())
    alone = time.perf_counter() - began
    first, second = statistics.median(bare), statistics.median(judged)
    print(f"predict {first:.2f} s, asked and judged {second:.2f} s: {second / first:.2f} times (wanted 1.1)")
    print(f"2,000 resamples of {_IMAGES:,} images and {_CLASSES} classes: {alone:.2f} s (wanted 5)")


if __name__ == "__main__":
    main()
