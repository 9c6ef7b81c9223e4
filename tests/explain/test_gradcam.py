"""Grad-CAM: against the formula written out, and at a planted cue."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from explained import SIDE, Planted, built, images, mass, small
from scipy import ndimage

from tinybench import models
from tinybench.config import network_size
from tinybench.core.errors import ModelError
from tinybench.explain import gradcam, gradients, layer_outputs
from tinybench.job import cross_validate
from tinybench.recipes.resolve import resolve

METHODS = {"grad_cam": gradcam.grad_cam, "grad_cam_plus_plus": gradcam.grad_cam_plus_plus}
CELL = 4  # pixels on a side of one of the last map of the planted network


@pytest.mark.parametrize("name", METHODS)
def test_the_cue_is_found(name: str, planted: Planted):
    # The network sees a cell or so beyond the square: 3x3 convolutions and poolings
    seen = ndimage.binary_dilation(planted.inside, np.ones((1, 2 * CELL + 1, 2 * CELL + 1)))
    found = METHODS[name](planted.model, planted.pixels, planted.classes)
    assert mass(found, seen).min() > 0.85, f"it is {seen.mean():.0%} of an image"
    finer = METHODS[name](planted.model, planted.pixels, planted.classes, "block1_pool")
    assert mass(finer, planted.inside).mean() > 0.5, f"the square is {planted.inside.mean():.0%} of an image"


@pytest.mark.parametrize("name", METHODS)
def test_the_strongest_place_is_in_the_square(name: str, planted: Planted):
    found = METHODS[name](planted.model, planted.pixels, planted.classes)
    near = ndimage.binary_dilation(planted.inside, np.ones((1, 3, 3)))
    assert near.reshape(len(found), -1)[np.arange(len(found)), found.reshape(len(found), -1).argmax(axis=1)].all()


def written_out(
    model: keras.Model, pixels: np.ndarray, label: int, layer: str, plus_plus: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The map of one image by the formulas of the papers, in NumPy; TensorFlow gives the gradient alone."""
    backbone = model.get_layer("backbone")
    place = backbone.get_layer(layer)
    lower = keras.Model(backbone.input, place.output)
    activations = lower(pixels[None].astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(activations)
        last = place.output is backbone.output
        x = activations if last else keras.Model(place.output, backbone.output)(activations)
        for each in ("pooling", "dropout", "logits"):
            x = model.get_layer(each)(x, training=False)
        score = x[0, label]
    gradient = tape.gradient(score, activations).numpy()[0].astype(np.float64)
    values = activations.numpy()[0].astype(np.float64)
    alpha = np.full(gradient.shape, 1 / gradient[..., 0].size)
    if plus_plus:
        divisor = 2 * gradient**2 + values.sum(axis=(0, 1)) * gradient**3
        alpha = np.divide(gradient**2, divisor, out=np.zeros_like(gradient), where=gradient > 0)
        gradient = np.maximum(gradient, 0)
    coarse = np.maximum(((alpha * gradient).sum(axis=(0, 1)) * values).sum(axis=-1), 0)
    fine = keras.ops.convert_to_numpy(keras.ops.image.resize(coarse[None, ..., None], pixels.shape[:2]))[0, ..., 0]
    return fine / fine.max(), gradient


@pytest.mark.parametrize("layer", ["block1_pool", "block2_conv1", "block2_pool"])
@pytest.mark.parametrize("name", METHODS)
def test_it_is_the_formula_of_the_paper(name: str, layer: str, planted: Planted):
    pixels, classes = planted.pixels[:3], planted.classes[:3]
    found = METHODS[name](planted.model, pixels, classes, layer)
    for place in range(3):
        expected, gradient = written_out(
            planted.model, pixels[place], classes[place], layer, name == "grad_cam_plus_plus"
        )
        assert gradient.any()
        np.testing.assert_allclose(found[place], expected, atol=2e-4)


@pytest.mark.parametrize("name", METHODS)
def test_fifty_at_once_are_the_same_as_one_by_one(name: str, planted: Planted):
    pixels, classes = images(50), np.random.default_rng(0).integers(0, 4, 50)
    together = METHODS[name](planted.model, pixels, classes)
    np.testing.assert_allclose(METHODS[name](planted.model, pixels, classes, batch_size=1), together, atol=1e-4)
    alone = METHODS[name](planted.model, pixels[7:8], classes[7:8])
    np.testing.assert_allclose(alone[0], together[7], atol=1e-4)


def test_maps_go_from_0_to_1_and_are_0_where_nothing_speaks_for_the_class():
    model = small()
    logits = model.get_layer("logits")
    kernel = np.abs(logits.kernel.numpy()) + 0.1
    kernel[:, 1] *= -1  # the maps are those of a ReLU: all that there is speaks against class 1
    logits.kernel.assign(kernel)
    for method in METHODS.values():
        found = method(model, images(3), np.array([0, 1, 2]))
        assert found.min() >= 0
        np.testing.assert_allclose(found.max(axis=(1, 2)), [1, 0, 1], atol=1e-6)


@pytest.mark.parametrize("name", network_size.PUBLISHED_SIZES)
def test_every_small_network_has_maps(name: str):
    model = built(name)
    for method in METHODS.values():
        found = method(model, images(2), np.array([0, 2]))
        assert found.shape == (2, SIDE, SIDE)
        assert found.dtype == np.float32
        assert set(found.max(axis=(1, 2))) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("shape", "chosen"),
    [
        ((SIDE, SIDE, 1), {}),
        ((SIDE, SIDE, 3), {"head.pooling": "flatten"}),
        ((SIDE, SIDE, 3), {"head.pooling": "max", "head.hidden": [8, 8], "head.batch_norm": True}),
        ((20, 28, 3), {}),
        ((1, 1, 3), {}),
        ((64, 64, 1), {"name": "mobilenetv2", "image_size": 64}),
    ],
    ids=["gray", "flatten", "deep head", "resized", "one pixel", "application on gray"],
)
def test_maps_have_the_size_of_the_images(shape: tuple[int, int, int], chosen: dict[str, object]):
    model = built(shape=shape, **chosen)
    given = model, images(6, shape), np.repeat([0, 1, 2], 2)
    for method in METHODS.values():
        found = method(*given)
        assert found.shape == (6, *shape[:2])
        assert found.any(), "nothing speaks for any class"


LAST = {
    "smallcnn": "block2_pool",
    "shallow": "block1_conv",
    "simple5": "block2_pool",
    "resnet20": "block3_3_out",
    "vgg10": "block3_conv2_relu",
    "mobilenetv2": "block_13_expand_relu",
}


@pytest.mark.parametrize("name", LAST)
def test_the_last_map_is_found(name: str):
    side = 64 if name == "mobilenetv2" else SIDE
    model = built(name, (side, side, 3), image_size=side)
    assert gradcam.last_spatial_layer(model) == LAST[name]


def test_a_map_of_one_pixel_is_not_the_last():
    model = small(image_size=8, **{"network.filters": [8, 8, 8]})
    assert model.get_layer("backbone").output_shape[1:3] == (1, 1)
    assert layer_outputs.map_sizes(model)["block3_conv1"] == (2, 2)
    assert gradcam.last_spatial_layer(model) == "block2_conv1", "a map of 2 by 2 pixels fills the whole image"
    with pytest.raises(ModelError, match="'block3_pool' is one pixel"):
        gradcam.grad_cam(model, images(1), np.array([0]), "block3_pool")


def own(shape, **chosen) -> keras.Model:
    """A model around a user's backbone, given as a function of symbolic pixels."""
    entry = keras.Input((None, None, 3))
    keras.Model(entry, shape(entry)).save("own.keras")
    settings = {"model": "own.keras", "weights": "file", "image_size": SIDE, "head.hidden": "none"}
    return models.build(resolve(None, settings | chosen), (SIDE, SIDE, 3), 3)


def test_a_backbone_that_takes_images_of_any_size_has_a_last_map():
    layers = keras.layers
    model = own(lambda x: layers.Conv2D(4, 17, strides=16, name="all")(layers.Conv2D(4, 3, name="some")(x)))
    assert model.get_layer("backbone").input_shape == (None, None, None, 3)
    assert gradcam.last_spatial_layer(model) == "some"
    assert gradcam.grad_cam(model, images(4), np.array([0, 1, 2, 0])).any()


def test_a_backbone_whose_maps_are_all_small_has_a_last_map():
    model = own(lambda x: keras.layers.Conv2D(4, SIDE // 2, strides=SIDE // 2, name="quarters")(x))
    assert gradcam.last_spatial_layer(model) == "quarters"


def test_a_backbone_of_single_pixels_has_no_last_map():
    model = own(lambda x: keras.layers.Conv2D(4, SIDE, strides=SIDE)(x))
    with pytest.raises(ModelError, match="larger image_size"):
        gradcam.grad_cam(model, images(1), np.array([0]))


def test_a_layer_that_is_called_twice_stands_for_its_last_call():
    keras.utils.set_random_seed(0)
    same = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="same")
    model = own(lambda x: same(same(x / 255) + 0.1))
    given = model, images(3), np.array([0, 1, 2])
    np.testing.assert_array_equal(gradcam.grad_cam(*given), gradcam.grad_cam(*given, "same"))


def test_a_frozen_backbone_has_maps_too(planted: Planted):
    given = planted.pixels[:2], planted.classes[:2]
    expected = gradcam.grad_cam(planted.model, *given)
    planted.model.trainable = False
    np.testing.assert_allclose(gradcam.grad_cam(planted.model, *given), expected, atol=1e-5)
    planted.model.trainable = True


def test_a_member_of_an_ensemble_has_maps_and_the_ensemble_says_so(planted: Planted):
    shape = (SIDE, SIDE, 3)
    given = planted.pixels[:2], planted.classes[:2]
    expected = gradcam.grad_cam(planted.model, *given)
    before, member = planted.model.name, small(classes=4)
    ensemble = cross_validate.build_ensemble([planted.model, member], shape)
    found = gradcam.grad_cam(ensemble.get_layer("fold_1"), *given)
    planted.model.name = before
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for method in METHODS.values():
        with pytest.raises(ModelError, match="fold_1"):
            method(ensemble, *given)
    with pytest.raises(ModelError, match="fold_1"):
        gradcam.last_spatial_layer(ensemble)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("blok1_conv1", "no layer 'blok1_conv1'.*did you mean block1_conv1"),
        ("?", "no layer.*block1_pool, block2_conv1, block2_pool"),
        ("pooling", "no layer 'pooling'"),
        ("pixels", "'pixels' gives no map"),
    ],
)
def test_an_unknown_layer_is_told_with_those_that_there_are(layer: str, words: str, planted: Planted):
    for method in METHODS.values():
        with pytest.raises(ModelError, match=words):
            method(planted.model, planted.pixels, planted.classes, layer)


@pytest.mark.parametrize("name", METHODS)
def test_what_would_mean_nothing_is_refused(name: str, planted: Planted):
    broken = planted.pixels[:1].astype(np.float32)
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        METHODS[name](planted.model, broken, planted.classes[:1])
    with pytest.raises(ValueError, match=r"0\.\.3"):
        METHODS[name](planted.model, planted.pixels[:1], np.array([4]))
    with pytest.raises(ValueError, match="batch_size"):
        METHODS[name](planted.model, planted.pixels[:1], np.array([0]), batch_size=-1)


def test_the_gradient_of_a_whole_model_is_that_of_its_parts(planted: Planted):
    """The head is linear in the last map: activations times gradients sum to the logit less its bias."""
    model, pixels, label = planted.model, planted.pixels[:1], int(planted.classes[0])
    _, gradient = written_out(model, pixels[0], label, "block2_pool", False)
    features = model.get_layer("backbone")(pixels.astype(np.float32)).numpy()[0]
    bias = model.get_layer("logits").bias.numpy()[label]
    score = gradients.class_score(model, pixels, planted.classes[:1])[0]
    assert (gradient * features).sum() + bias == pytest.approx(score, rel=1e-4)
