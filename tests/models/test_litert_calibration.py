"""Ranges are those of each activation alone, also where the next operation computes in place."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.optimize.calibrator import Calibrator

from tinybench.models import litert_graph

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)


def ranges_by_operation(file: Path) -> list[tuple[str, float, float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter: Any = tf.lite.Interpreter(str(file))
    interpreter.allocate_tensors()
    tensors = {tensor["index"]: tensor["quantization"] for tensor in interpreter.get_tensor_details()}
    return [
        (operation["op_name"], (-128 - zero) * scale, (127 - zero) * scale)
        for operation in interpreter._get_ops_details()
        for scale, zero in [tensors[index] for index in operation["outputs"]]
        if operation["op_name"] != "DELEGATE"
    ]


def test_ranges_do_not_cover_what_comes_after(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(pixels))
    second = keras.layers.Conv2D(4, 1, activation="relu")(first)
    total = keras.layers.Add()([first, second * 100.0])
    model = keras.Model(pixels, keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(total)))
    largest = [float(values.max()) for values in keras.Model(pixels, [first, second, total]).predict(IMAGES, verbose=0)]
    original = Calibrator.calibrate
    litert_graph.save_int8(model, tmp_path / "model.tflite", IMAGES)
    assert Calibrator.calibrate is original
    found = [high for name, _, high in ranges_by_operation(tmp_path / "model.tflite") if name in ("CONV_2D", "ADD")]
    np.testing.assert_allclose(found, largest, rtol=0.02)
