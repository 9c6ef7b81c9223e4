"""Gradients of scores: against finite differences, sums that must agree, and a planted cue."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from explained import SIDE, Planted, built, images, mass, small
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.config import network_size
from tinybench.explain import gradients, inputs
from tinybench.job import cross_validate

METHODS = {
    "vanilla": gradients.vanilla_gradient,
    "smooth": gradients.smooth_grad,
    "integrated": gradients.integrated_gradients,
}
QUICK = {
    "vanilla": gradients.vanilla_gradient,
    "smooth": lambda *given: gradients.smooth_grad(*given, samples=3),
    "integrated": lambda *given: gradients.integrated_gradients(*given, steps=3),
}


def linear(seed: int = 0, shape: tuple[int, int, int] = (4, 5, 3), classes: int = 3) -> keras.Model:
    """One dense layer before the softmax: every score is a weighted sum of the pixels."""
    keras.utils.set_random_seed(seed)
    pixels = keras.Input(shape)
    x = keras.layers.Dense(classes, name="logits")(keras.layers.Flatten(name="pooling")(pixels))
    return keras.Model(pixels, keras.layers.Softmax(name="probabilities")(x))


def kernels(model: keras.Model) -> np.ndarray:
    """(classes, height, width, channels) weights of a linear model."""
    kernel = model.get_layer("logits").kernel.numpy()
    return kernel.T.reshape(-1, *model.input_shape[1:])


def test_of_a_linear_model_the_gradient_is_the_kernel_of_the_class():
    model, pixels, classes = linear(), images(3, (4, 5, 3)), np.array([2, 0, 1])
    expected = np.abs(kernels(model)[classes]).max(axis=-1)
    np.testing.assert_allclose(gradients.vanilla_gradient(model, pixels, classes), expected, atol=1e-6)
    np.testing.assert_allclose(gradients.smooth_grad(model, pixels, classes), expected, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), steps=st.integers(1, 70), baseline=st.floats(-50, 300))
def test_of_a_linear_model_attributions_are_exact_with_any_steps(seed: int, steps: int, baseline: float):
    model, pixels, classes = linear(seed), images(3, (4, 5, 3), seed), np.array([2, 0, 1])
    found = gradients.integrated_gradients(model, pixels, classes, steps=steps, baseline=baseline)
    # The weights of the steps are those of the midpoint rule on 2t, which is exact
    expected = (kernels(model)[classes] * (pixels - np.float32(baseline))).sum(axis=-1)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_map_is_the_gradient_that_finite_differences_find():
    keras.utils.set_random_seed(0)
    entry = keras.Input((4, 5, 3))
    x = keras.layers.Conv2D(4, 3, activation="tanh")(entry / 255)
    logits = keras.layers.Dense(3, kernel_initializer="he_normal")(keras.layers.Flatten()(x))
    model = keras.Model(entry, keras.layers.Softmax()(logits))
    pixels = images(1, (4, 5, 3)).astype(np.float32)
    steps = np.eye(pixels.size, dtype=np.float32).reshape(-1, 4, 5, 3)  # one channel of one pixel in each
    classes = np.ones(pixels.size, int)
    more, less = (gradients.class_score(model, pixels + sign * steps, classes) for sign in (1, -1))
    expected = np.abs((more - less) / 2).reshape(4, 5, 3).max(axis=-1)
    np.testing.assert_allclose(
        gradients.vanilla_gradient(model, pixels, classes[:1])[0], expected, atol=1e-6, rtol=1e-2
    )


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), baseline=st.sampled_from([0.0, 127.5, 255.0]))
def test_attributions_sum_to_what_the_score_gains_over_the_blank_image(
    planted: Planted, seed: int, baseline: float
) -> None:
    model, pixels = planted.model, np.concatenate([planted.pixels[seed % 8 :][:3], images(2, seed=seed)])
    classes = np.random.default_rng(seed).integers(0, 4, len(pixels))
    blank = np.full_like(pixels, baseline, np.float32)
    gained = gradients.class_score(model, pixels, classes) - gradients.class_score(model, blank, classes)
    errors = [
        np.abs(
            gradients.integrated_gradients(model, pixels, classes, steps=steps, baseline=baseline).sum(axis=(1, 2))
            - gained
        )
        for steps in (50, 400)
    ]
    assert errors[0].max() < 0.02 * np.abs(gained).max() + 0.05
    assert errors[1].max() < 0.002 * np.abs(gained).max() + 0.01


def test_the_score_is_the_logit(planted: Planted):
    model, pixels, classes = planted.model, planted.pixels, planted.classes
    each = np.stack([gradients.class_score(model, pixels, np.full_like(classes, label)) for label in range(4)], axis=1)
    odds = np.exp(each.astype(np.float64))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, model.predict(pixels, verbose=0), atol=1e-5)


def test_a_certain_class_has_a_gradient_still():
    model = linear()
    logits = model.get_layer("logits")
    logits.bias.assign([1000, 0, 0])  # float32 has 1 and 0 as probabilities
    pixels = images(2, (4, 5, 3))
    assert set(model.predict(pixels, verbose=0).flat) == {0.0, 1.0}
    for label in range(3):
        found = gradients.vanilla_gradient(model, pixels, np.array([label, label]))
        np.testing.assert_allclose(found[0], np.abs(kernels(model)[label]).max(axis=-1), atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_the_cue_is_found(name: str, planted: Planted):
    found = METHODS[name](planted.model, planted.pixels, planted.classes)
    assert mass(found, planted.inside).min() > 0.5, f"the square is {planted.inside[0].mean():.0%} of an image"


@pytest.mark.parametrize("name", METHODS)
def test_a_map_does_not_depend_on_the_images_beside_it_nor_on_how_many_go_at_once(
    name: str, planted: Planted, monkeypatch: pytest.MonkeyPatch
):
    model, pixels, classes = planted.model, planted.pixels[:5], planted.classes[:5]
    together = METHODS[name](model, pixels, classes)
    monkeypatch.setattr(inputs, "_MAX_BATCH", 7)
    alone = METHODS[name](model, pixels[3:4], classes[3:4])
    np.testing.assert_allclose(METHODS[name](model, pixels, classes), together, atol=1e-5 * np.abs(together).max())
    np.testing.assert_allclose(alone[0], together[3], atol=1e-5 * np.abs(together).max())


def test_noise_is_that_of_the_seed_and_none_is_vanilla(planted: Planted):
    given = planted.model, planted.pixels[:2], planted.classes[:2]
    first, again, other = (gradients.smooth_grad(*given, samples=4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    without = gradients.smooth_grad(*given, samples=2, noise=0)
    np.testing.assert_allclose(without, gradients.vanilla_gradient(*given), atol=1e-6)


@pytest.mark.parametrize("name", network_size.PUBLISHED_SIZES)
def test_every_small_network_has_gradients(name: str):
    model, pixels, classes = built(name), images(2), np.array([0, 2])
    for method in QUICK.values():
        found = method(model, pixels, classes)
        assert found.shape == (2, SIDE, SIDE)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert np.ptp(found, axis=(1, 2)).min() > 0


@pytest.mark.parametrize(
    ("shape", "chosen"),
    [
        ((SIDE, SIDE, 1), {}),
        ((SIDE, SIDE, 3), {"head.pooling": "flatten"}),
        ((20, 28, 3), {}),
        ((64, 64, 1), {"name": "mobilenetv2", "image_size": 64}),
    ],
    ids=["gray", "flatten", "resized", "application on gray"],
)
def test_maps_have_the_size_of_the_images(shape: tuple[int, int, int], chosen: dict[str, object]):
    model = built(shape=shape, **chosen)
    for method in QUICK.values():
        found = method(model, images(1, shape), np.array([1]))
        assert found.shape == (1, *shape[:2])
        assert found.any()


def test_an_image_of_one_pixel_gets_a_map_of_one_pixel():
    model = small(shape=(1, 1, 3))
    pixels, classes = images(2, (1, 1, 3)), np.array([0, 1])
    blank = np.zeros_like(pixels)
    gained = gradients.class_score(model, pixels, classes) - gradients.class_score(model, blank, classes)
    found = gradients.integrated_gradients(model, pixels, classes, steps=200)
    np.testing.assert_allclose(found[:, 0, 0], gained, atol=0.02 * np.abs(gained).max())


def test_the_score_of_an_ensemble_is_the_mean_of_its_members(planted: Planted):
    shape, classes = (SIDE, SIDE, 3), planted.classes[:3]
    members = [planted.model, small(classes=4)]
    names = [member.name for member in members]
    ensemble = cross_validate.build_ensemble(members, shape)
    pixels = planted.pixels[:3]
    mean = np.mean([gradients.class_score(member, pixels, classes) for member in members], axis=0)
    np.testing.assert_allclose(gradients.class_score(ensemble, pixels, classes), mean, rtol=1e-4)
    each = [gradients.integrated_gradients(member, pixels, classes, steps=5) for member in members]
    found = gradients.integrated_gradients(ensemble, pixels, classes, steps=5)
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-3 * np.abs(found).max())
    for member, name in zip(members, names, strict=True):
        member.name = name


def test_a_model_without_a_softmax_layer_is_explained_by_the_logarithm_of_its_probability():
    pixels = keras.Input((4, 5, 3))
    model = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(pixels / 255)))
    given, classes = images(2, (4, 5, 3)), np.array([0, 1])
    expected = np.log(model.predict(given, verbose=0)[[0, 1], classes])
    np.testing.assert_allclose(gradients.class_score(model, given, classes), expected, rtol=1e-4)
    assert gradients.vanilla_gradient(model, given, classes).any()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("pixels", "classes", "words"),
    [
        (np.full((1, 4, 5, 3), np.nan), np.array([0]), "NaN"),
        (np.full((1, 4, 5, 3), np.inf), np.array([0]), "infinity"),
        (np.zeros((0, 4, 5, 3)), np.zeros(0, int), "images"),
        (np.zeros((1, 4, 4, 3)), np.array([0]), r"\(n, \*\(4, 5, 3\)\)"),
        (np.zeros((4, 5, 3)), np.array([0]), "images"),
        (np.zeros((2, 4, 5, 3)), np.array([0]), "2 classes"),
        (np.zeros((1, 4, 5, 3)), np.array([0.0]), "integers"),
        (np.zeros((1, 4, 5, 3)), np.array([3]), r"0\.\.2"),
        (np.zeros((1, 4, 5, 3)), np.array([-1]), r"0\.\.2"),
    ],
)
def test_what_would_mean_nothing_is_refused(name: str, pixels: np.ndarray, classes: np.ndarray, words: str):
    with pytest.raises(ValueError, match=words):
        METHODS[name](linear(), pixels, classes)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda *given: gradients.smooth_grad(*given, samples=0),
        lambda *given: gradients.smooth_grad(*given, noise=-0.1),
        lambda *given: gradients.integrated_gradients(*given, steps=0),
        lambda *given: gradients.integrated_gradients(*given, baseline=np.nan),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=r"at least one|number"):
        wrong(linear(), images(1, (4, 5, 3)), np.array([0]))
