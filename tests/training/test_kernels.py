"""The quick kernels against Keras's own: losses, gradients, statistics, and which layers they are for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tinybench import models
from tinybench.recipes.resolve import resolve
from tinybench.training import kernels, phases
from tinybench.training.steps import ArraySource, Steps


@pytest.fixture(autouse=True)
def own_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where TensorFlow has no oneDNN, whatever this processor is."""
    monkeypatch.setattr(kernels, "has_onednn", lambda: False)


def _model(layer: keras.layers.Layer, shape: tuple[int, ...]) -> keras.Model:
    pixels = keras.Input(shape)
    return keras.Model(pixels, layer(pixels))


def _judged(model: keras.Model, images: Any, above: Any) -> list[Any]:
    """Output, gradients of images and weights, and the weights afterwards, as a graph computes them."""
    before = model.get_weights()

    @tf.function(autograph=False)
    def step(images: Any) -> Any:
        variables = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = model(images, training=True)
            loss = tf.reduce_sum(found * above)
        return found, tape.gradient(loss, [images, *variables])

    found, gradients = step(tf.constant(images))
    after = model.get_weights()
    model.set_weights(before)
    return [np.asarray(each) for each in (found, *gradients, *after)]


def _distance(layer: keras.layers.Layer, shape: tuple[int, ...], count: int) -> float:
    """How far the quick results are from Keras's, as a share of the largest of each."""
    generator = np.random.default_rng(0)
    model = _model(layer, shape)
    images = generator.normal(size=(count, *shape)).astype(np.float32)
    model.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in model.get_weights()])
    above = generator.normal(size=(count, *model.output_shape[1:])).astype(np.float32)
    expected = _judged(model, images, above)
    with kernels.fast_kernels(model):
        assert _is_changed(layer)
        found = _judged(model, images, above)
    assert not _is_changed(layer)
    pairs = zip(found, expected, strict=True)
    return max(float(np.abs(one - other).max() / max(1, np.abs(other).max())) for one, other in pairs)


def _is_changed(layer: keras.layers.Layer) -> bool:
    return bool({"call", "convolution_op"} & set(vars(layer)))


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    rows=st.integers(5, 9),
    columns=st.integers(5, 9),
    channels=st.integers(1, 4),
    filters=st.integers(1, 4),
    padding=st.sampled_from(["same", "valid"]),
    bias=st.booleans(),
)
def test_a_convolution_has_keras_s_gradients(
    height: int, width: int, rows: int, columns: int, channels: int, filters: int, padding: str, bias: bool
) -> None:
    layer = layers.Conv2D(filters, (height, width), padding=padding, use_bias=bias, activation="relu")
    assert _distance(layer, (rows, columns, channels), 3) < 2e-4


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("stride", "side"), [(2, 7), (2, 8), (3, 7), (3, 9)])
def test_a_strided_1x1_convolution_has_keras_s_gradients(stride: int, side: int, padding: str) -> None:
    assert _distance(layers.Conv2D(5, 1, strides=stride, padding=padding), (side, side, 3), 4) < 2e-4


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"epsilon": 1.001e-5, "momentum": 0.9}])
@pytest.mark.parametrize("count", [1, 8])
def test_batch_normalization_has_keras_s_gradients_and_statistics(options: dict[str, Any], count: int) -> None:
    assert _distance(layers.BatchNormalization(**options), (4, 5, 3), count) < 2e-4


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Conv2D(4, 3, strides=2), (8, 8, 3)),
        (layers.Conv2D(4, 3, dilation_rate=2), (8, 8, 3)),
        (layers.Conv2D(4, 3, groups=2), (8, 8, 4)),
        (layers.Conv2D(4, 1, strides=(1, 2)), (8, 8, 4)),
        (layers.DepthwiseConv2D(3), (8, 8, 3)),
        (layers.Conv2DTranspose(4, 3), (8, 8, 3)),
        (layers.BatchNormalization(), (8,)),
        (layers.BatchNormalization(axis=1), (8, 8, 3)),
        (layers.BatchNormalization(epsilon=1e-6), (8, 8, 3)),
        (type("Own", (layers.Conv2D,), {})(4, 3), (8, 8, 3)),
    ],
)
def test_other_layers_are_left_to_keras(layer: keras.layers.Layer, shape: tuple[int, ...]) -> None:
    with kernels.fast_kernels(_model(layer, shape)):
        assert not _is_changed(layer)


def test_onednn_s_own_gradients_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "has_onednn", lambda: True)
    convolution, normalization = layers.Conv2D(4, 3), layers.BatchNormalization()
    pixels = keras.Input((8, 8, 3))
    with kernels.fast_kernels(keras.Model(pixels, normalization(convolution(pixels)))):
        assert (_is_changed(convolution), _is_changed(normalization)) == (False, True)


def test_on_a_gpu_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: ["a GPU"])
    layer = layers.Conv2D(4, 3)
    with kernels.fast_kernels(_model(layer, (8, 8, 3))):
        assert not _is_changed(layer)


def test_frozen_and_inferring_normalization_keep_their_statistics() -> None:
    layer = layers.BatchNormalization()
    model = _model(layer, (4, 4, 3))
    images = np.random.default_rng(0).normal(size=(4, 4, 4, 3)).astype(np.float32)
    expected = np.asarray(model(images, training=False))
    with kernels.fast_kernels(model):
        np.testing.assert_array_equal(np.asarray(model(images, training=False)), expected)
        layer.trainable = False
        np.testing.assert_array_equal(np.asarray(model(images, training=True)), expected)
    np.testing.assert_array_equal(np.asarray(layer.moving_mean), np.zeros(3))


def test_layers_are_given_back_when_training_breaks_off() -> None:
    layer = layers.Conv2D(4, 3)
    with pytest.raises(KeyboardInterrupt), kernels.fast_kernels(_model(layer, (8, 8, 3))):
        raise KeyboardInterrupt
    assert not _is_changed(layer)


@pytest.mark.parametrize("name", ["vgg10", "resnet20"])
def test_a_network_learns_as_with_keras_s_kernels(name: str) -> None:
    expected = _losses(name, lambda trainer: nullcontext())
    found = _losses(name, kernels.fast_kernels)
    assert len(found) == 12
    assert found[-1] < found[0]
    # Of the first epoch: each step multiplies what threads round otherwise, also between two runs of Keras's own
    np.testing.assert_allclose(found[:6], expected[:6], rtol=1e-3)


def _losses(name: str, computing: Callable[[keras.Model], AbstractContextManager[None]]) -> list[float]:
    """The mean losses of two epochs of six steps."""
    chosen = {"model": name, "scratch.lr": 1e-3, "optimizer.name": "sgd", "network.filters": "8,8,16", "batch_size": 8}
    generator = np.random.default_rng(0)
    table = ArraySource(generator.integers(0, 256, (48, 32, 32, 3), np.uint8), generator.integers(0, 10, 48, np.int32))
    keras.utils.set_random_seed(0)
    config = resolve("cifar10-simple5", chosen)
    trainer = phases.build_trainer(models.build(config, (32, 32, 3), 10), config, "scratch")
    losses: list[float] = []
    with computing(trainer):
        steps = Steps(trainer, 8)
        for _ in range(2):
            steps.train(table, lambda step, means: losses.extend(means.tolist()))
    return losses
