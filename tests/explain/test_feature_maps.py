"""What layers give and kernels hold: the numbers of the model itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from explained import SIDE, built, images, small

from tinybench import models
from tinybench.config import network_size
from tinybench.core.errors import ModelError
from tinybench.explain import feature_maps, inputs
from tinybench.job import cross_validate
from tinybench.recipes.resolve import resolve


def test_maps_are_the_outputs_of_the_layer(monkeypatch: pytest.MonkeyPatch):
    model, pixels = small(), images(5)
    backbone = model.get_layer("backbone")
    x = backbone.get_layer("block1_conv1")(pixels.astype(np.float32) / 255)
    expected = backbone.get_layer("block1_pool")(x).numpy()
    monkeypatch.setattr(inputs, "_MAX_BATCH", 2)
    found = feature_maps.compute_feature_maps(model, pixels, "block1_pool")
    assert found.shape == (5, 16, 16, 8)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(
        feature_maps.compute_feature_maps(model, pixels[3:4], "block1_pool"), expected[3:4], atol=1e-5
    )


@pytest.mark.parametrize("name", network_size.PUBLISHED_SIZES)
def test_every_small_network_shows_its_first_kernels(name: str):
    model = built(name)
    first = network_size.PUBLISHED_SIZES[name].filters[0]
    found = feature_maps.first_kernels(model)
    assert found.shape == (3, 3, 3, first)
    last = model.get_layer("backbone").layers[-1].name
    maps = feature_maps.compute_feature_maps(model, images(2), last)
    assert maps.shape == (2, *model.get_layer("backbone").output_shape[1:])
    assert np.isfinite(maps).all()


def test_kernels_are_those_of_the_layer_that_sees_the_image():
    model = built(shape=(SIDE, SIDE, 1))
    kernel = model.get_layer("backbone").get_layer("block1_conv1").kernel.numpy()
    assert kernel.shape == (3, 3, 1, 32)
    np.testing.assert_array_equal(feature_maps.first_kernels(model), kernel)
    application = built("mobilenetv2", (64, 64, 3), image_size=64)
    expected = application.get_layer("backbone").get_layer("Conv1").kernel.numpy()
    np.testing.assert_array_equal(feature_maps.first_kernels(application), expected)


def own(shape) -> keras.Model:
    entry = keras.Input((SIDE, SIDE, 3))
    keras.Model(entry, shape(entry)).save("own.keras")
    settings = {"model": "own.keras", "weights": "file", "image_size": SIDE, "head.hidden": "none"}
    return models.build(resolve(None, settings), (SIDE, SIDE, 3), 3)


def test_a_convolution_in_a_block_of_layers_is_found():
    layers = keras.layers
    inner = keras.Sequential([layers.Rescaling(1 / 255), layers.Conv2D(5, 7, name="wide")], name="block")
    model = own(lambda x: layers.Conv2D(4, 3)(inner(x)))
    assert feature_maps.first_kernels(model).shape == (7, 7, 3, 5)
    assert feature_maps.compute_feature_maps(model, images(1), "wide").shape == (1, 26, 26, 5)


def test_a_backbone_without_a_convolution_says_so():
    model = own(lambda x: keras.layers.MaxPooling2D()(x / 255))
    with pytest.raises(ModelError, match="no convolution"):
        feature_maps.first_kernels(model)


def test_what_is_not_there_is_refused():
    model = small()
    with pytest.raises(ModelError, match="did you mean block1_pool"):
        feature_maps.compute_feature_maps(model, images(1), "block1_poool")
    with pytest.raises(ValueError, match="NaN"):
        feature_maps.compute_feature_maps(model, np.full((1, SIDE, SIDE, 3), np.nan), "block1_pool")
    ensemble = cross_validate.build_ensemble([model, small()], (SIDE, SIDE, 3))
    with pytest.raises(ModelError, match="fold_1"):
        feature_maps.compute_feature_maps(ensemble, images(1), "block1_pool")
    with pytest.raises(ModelError, match="fold_1"):
        feature_maps.first_kernels(ensemble)


@pytest.mark.parametrize(("side", "layer"), [(64, "pool"), (32, "pool"), (16, "second"), (8, None)])
def test_the_last_layer_whose_maps_can_be_seen_is_no_padding(side: int, layer: str | None):
    entry = keras.Input((side, side, 3))
    hidden = keras.layers.Conv2D(2, 3, strides=2, padding="same", name="first")(entry)
    hidden = keras.layers.Conv2D(2, 3, padding="same", name="second")(hidden)
    hidden = keras.layers.MaxPooling2D(2, name="pool")(hidden)
    hidden = keras.layers.ZeroPadding2D(1, name="padding")(hidden)
    keras.Model(entry, keras.layers.Conv2D(2, 3, strides=8, padding="same", name="last")(hidden)).save("own.keras")
    settings = {"model": "own.keras", "weights": "file", "image_size": side, "head.hidden": "none"}
    model = models.build(resolve(None, settings), (side, side, 3), 3)
    assert feature_maps.last_visible_layer(model) == layer
