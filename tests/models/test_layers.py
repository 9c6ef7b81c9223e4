"""Our own layers compute what they say, and are found again in a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench import models
from tinybench.models.layers import Convolution, LocalResponseNormalization


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, shape).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 40),
    radius=st.integers(0, 12),
    bias=st.floats(0.5, 4),
    alpha=st.floats(1e-4, 2),
    beta=st.floats(0.25, 1.5),
)
def test_normalization_is_that_of_tensorflow(
    channels: int, radius: int, bias: float, alpha: float, beta: float
) -> None:
    inputs = values(2, 3, 4, channels)
    layer = LocalResponseNormalization(radius, bias, alpha, beta)
    expected = tf.nn.local_response_normalization(inputs, radius, bias, alpha, beta)
    np.testing.assert_allclose(layer(inputs), expected, rtol=2e-4, atol=1e-5)


def test_its_defaults_are_those_of_tensorflow() -> None:
    inputs = values(2, 5, 5, 16)
    expected = tf.nn.local_response_normalization(inputs)
    np.testing.assert_allclose(LocalResponseNormalization()(inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "words"), [({"depth_radius": -1}, "`depth_radius`: expected at least 0"), ({"bias": 0}, "`bias`")]
)
def test_constants_that_cannot_be_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LocalResponseNormalization(**given)


def test_the_convolution_is_that_of_keras() -> None:
    inputs = values(3, 9, 7, 2)
    own, known = Convolution(5), keras.layers.Conv2D(5, 3, activation="relu")
    own.build(inputs.shape)
    known.build(inputs.shape)
    own.bias.assign(values(5))
    known.set_weights(own.get_weights())
    np.testing.assert_allclose(own(inputs), known(inputs), rtol=1e-4, atol=1e-4)
    assert own(inputs).shape == (3, 7, 5, 5)


@pytest.mark.parametrize("layer", [LocalResponseNormalization(3, 2.0, 0.1, 0.75), Convolution(4)])
def test_a_saved_model_finds_it_again(tmp_path: Path, layer: keras.layers.Layer) -> None:
    pixels = keras.Input((8, 8, 3))
    model = keras.Model(pixels, layer(pixels))
    model.save(tmp_path / "model.keras")
    again = models.load(tmp_path / "model.keras")
    inputs = values(2, 8, 8, 3)
    np.testing.assert_array_equal(again(inputs), model(inputs))
    assert again.layers[-1].get_config() == layer.get_config()
