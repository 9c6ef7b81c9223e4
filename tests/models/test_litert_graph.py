"""A LiteRT file is the model, in float32 and in int8, for every kind of preprocessing and for layers of our own."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tinybench.models import layers, litert_graph

IMAGES = np.random.default_rng(0).integers(20, 230, (24, 8, 8, 3)).astype(np.uint8)


def classifier(mode: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 3), name="pixels")
    x = keras.layers.Resizing(12, 12)(pixels)
    x = keras.applications.imagenet_utils.preprocess_input(x, mode=mode)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(8, 3, activation="relu")(x))
    x = layers.LocalResponseNormalization()(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, keras.layers.Softmax()(keras.layers.Dense(5)(x)))


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_float32_gives_the_same_probabilities(tmp_path: Path, mode: str) -> None:
    model, file = classifier(mode), tmp_path / "model.tflite"
    litert_graph.save(model, file)
    np.testing.assert_allclose(litert_graph.load(file)(IMAGES), model.predict(IMAGES, verbose=0), atol=1e-5)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_int8_is_near(tmp_path: Path, mode: str) -> None:
    model, file = classifier(mode), tmp_path / "model.tflite"
    litert_graph.save_int8(model, file, IMAGES)
    difference = np.abs(litert_graph.load(file)(IMAGES) - model.predict(IMAGES, verbose=0))
    assert 0 < difference.mean() < 0.05


def test_calibration_leaves_the_images_as_they_are(tmp_path: Path) -> None:
    before = IMAGES.copy()
    litert_graph.save_int8(classifier("tf"), tmp_path / "int8.tflite", IMAGES)
    np.testing.assert_array_equal(IMAGES, before)


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Converter and interpreter describe themselves on both streams, from Python and C++."""
    litert_graph.save(classifier("tf"), tmp_path / "model.tflite")
    litert_graph.save_int8(classifier("tf"), tmp_path / "int8.tflite", IMAGES)
    litert_graph.load(tmp_path / "int8.tflite")(IMAGES)
    assert tuple(capfd.readouterr()) == ("", "")
