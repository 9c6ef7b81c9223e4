"""Train a backbone of your own: build it with Keras, save it, and give its path as the model.

    python examples/own_backbone.py

The backbone maps pixels in 0..255 to a feature map; tinybench adds pooling and a classifier. The runs are logged to
mlflow.db in the current folder, which `mlflow ui` shows.
"""

from __future__ import annotations

from pathlib import Path

import keras

import tinybench


def build_backbone(image_size: int) -> keras.Model:
    """Return a small residual network without a classifier."""
    pixels = keras.Input((image_size, image_size, 3))
    features = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for filters in (16, 32, 64):
        features = keras.layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")(features)
        branch = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(features)
        features = keras.layers.Add()([features, branch])
    return keras.Model(pixels, features, name="small_residual")


def main() -> None:
    """Save the backbone, train all of it on handwritten digits, and print how good it is."""
    path = Path("small_residual.keras")
    keras.utils.set_random_seed(0)
    build_backbone(image_size=16).save(path)
    result = tinybench.train(
        "quickstart",
        model=str(path),
        phases="scratch",  # all layers from random weights; "transfer,finetune" suits a pretrained backbone
        scratch_epochs=8,
        scratch_lr=2e-3,
        track_costs="off",  # "quick" also measures latency and memory, in some ten seconds
    )
    metrics = result.metrics
    low, high = metrics["test/accuracy_low"], metrics["test/accuracy_high"]
    print(f"Test accuracy {metrics['test/accuracy']:.3f}, 95 % interval [{low:.3f}, {high:.3f}]")
    print(f"Run {result.run_id}; to see it: mlflow ui")


if __name__ == "__main__":
    main()
