"""Convert a Keras model to LiteRT, formerly TensorFlow Lite, and run the `.tflite` file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core import quiet_libraries
from tinybench.models import litert_calibration

Pixels = NDArray[np.uint8]


def save(model: keras.Model, path: Path) -> None:
    """Write a model from float32 pixels to probabilities, with operations that every LiteRT runtime has."""
    import tensorflow as tf

    _convert(model, path, target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]})


def save_int8(model: keras.Model, path: Path, calibration: Pixels) -> None:
    """Write a model whose weights and activations are int8, from uint8 pixels to float32 probabilities.

    Operations that LiteRT does not have in int8 stay in float32.

    Args:
        model: From pixels to probabilities.
        path: The file to write.
        calibration: Images (n, height, width, channels) that the ranges of the activations are measured on.
    """
    import tensorflow as tf

    images = calibration.astype(np.float32)
    # A corner of black and one of white: the input's range is then exactly 0..255, and its scale 1 with zero at 0, so
    # that the model takes pixels as they are
    images[0, 0, 0], images[0, -1, -1] = 0, 255

    def generate() -> Iterator[list[NDArray[np.float32]]]:
        yield from ([image[np.newaxis]] for image in images)

    with litert_calibration.measure_exact_ranges():
        _convert(
            model,
            path,
            optimizations=[tf.lite.Optimize.DEFAULT],
            representative_dataset=generate,
            target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]},
            inference_input_type=tf.uint8,
            inference_output_type=tf.float32,
        )


def _convert(model: keras.Model, path: Path, **options: Any) -> None:
    with quiet_libraries.discard_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's, about itself
        model.export(path, format="litert", verbose=False, **options)


def load(path: Path) -> Callable[[Pixels], NDArray[np.float32]]:
    """Load a `.tflite` file, and return the function that predicts images, one at a time as a device does."""
    import tensorflow as tf

    with quiet_libraries.discard_stderr(), warnings.catch_warnings():
        # TensorFlow moves its interpreter to the package ai-edge-litert; until then this one is the same
        warnings.simplefilter("ignore", UserWarning)
        interpreter = tf.lite.Interpreter(model_path=str(path), num_threads=os.cpu_count())
        interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict_image(image: Pixels) -> NDArray[np.float32]:
        interpreter.set_tensor(source["index"], image[np.newaxis].astype(source["dtype"]))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(target["index"])[0], np.float32)

    return lambda pixels: np.stack([predict_image(image) for image in pixels])
