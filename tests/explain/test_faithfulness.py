"""Deletion and insertion: of models whose curve is known, and of maps of a planted cue beside random ones."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from explained import SIDE, Planted, built, images
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.explain import faithfulness, gradcam, gradients, inputs
from tinybench.job import cross_validate

METHODS = {
    "vanilla": gradients.vanilla_gradient,
    "smooth": gradients.smooth_grad,
    "integrated": gradients.integrated_gradients,
    "grad_cam": gradcam.grad_cam,
    "grad_cam_plus_plus": gradcam.grad_cam_plus_plus,
}


@keras.saving.register_keras_serializable("tests")
class Share(keras.layers.Layer):
    """As probability of class 1 the share of pixels above a threshold."""

    def call(self, pixels):
        share = keras.ops.mean(keras.ops.cast(pixels[..., 0] > 200, "float32"), axis=(1, 2))
        return keras.ops.stack([1 - share, share], axis=-1)


def counting(side: int = 10) -> keras.Model:
    entry = keras.Input((side, side, 1))
    return keras.Model(entry, Share()(entry))


def marked(count: int, side: int = 10) -> np.ndarray:
    """(1, side, side, 1) white in the first pixels and black in the others."""
    return (np.arange(side * side) < count).reshape(1, side, side, 1) * np.uint8(255)


def test_areas_of_a_known_curve():
    pixels, classes = marked(50), np.array([1])
    first = -np.arange(100.0).reshape(1, 10, 10)  # the marked pixels go first
    # White pixels go from 50 to 0 over the first half: a triangle of half the base
    assert faithfulness.deletion_area(counting(), pixels, classes, first) == pytest.approx([0.5 * 0.5 / 2])
    # and stay over the first half when they go last
    assert faithfulness.deletion_area(counting(), pixels, classes, -first) == pytest.approx([0.5 * 0.5 + 0.5 * 0.5 / 2])
    # The probability of the other class is what is left
    assert faithfulness.deletion_area(counting(), pixels, np.array([0]), first) == pytest.approx([1 - 0.125])


def test_insertion_starts_without_what_is_fine_and_ends_with_the_image():
    pixels = np.zeros((1, 10, 10, 1), np.uint8)
    pixels[0, ::2, ::2] = 255  # a quarter, which a blur levels to 64
    by_value = pixels[..., 0].astype(float)
    # The 25 come in the first quarter of the way, and stay
    expected = 0.25 * 0.25 / 2 + 0.75 * 0.25
    assert faithfulness.insertion_area(counting(), pixels, np.array([1]), by_value) == pytest.approx([expected])
    expected = 0.25 * 0.25 / 2
    assert faithfulness.insertion_area(counting(), pixels, np.array([1]), -by_value) == pytest.approx([expected])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), steps=st.integers(1, 30))
def test_only_the_order_of_a_map_counts_and_opposite_orders_share_the_area(seed: int, steps: int):
    generator = np.random.default_rng(seed)
    maps = generator.permuted(np.arange(100.0).reshape(1, 100), axis=1).reshape(1, 10, 10)
    pixels, classes = marked(int(generator.integers(1, 60))), np.array([1])  # its mean is no white
    given = counting(), pixels, classes
    area = faithfulness.deletion_area(*given, maps, steps=steps)
    assert faithfulness.deletion_area(*given, np.exp(maps / 50) - 3, steps=steps) == pytest.approx(area)
    # A pixel that is among the first of one order is among the last of the other
    if 100 % steps == 0:
        assert area + faithfulness.deletion_area(*given, -maps, steps=steps) == pytest.approx(
            (pixels > 0).mean(), abs=1e-5
        )


@pytest.mark.parametrize("name", METHODS)
def test_a_map_of_the_cue_is_better_than_a_random_one(name: str, planted: Planted):
    given = planted.model, planted.pixels, planted.classes
    found = METHODS[name](*given)
    random = np.random.default_rng(0).random(found.shape)
    assert (faithfulness.deletion_area(*given, found) < 0.5 * faithfulness.deletion_area(*given, random)).all()
    inserted, by_chance = (faithfulness.insertion_area(*given, maps) for maps in (found, random))
    assert (inserted > by_chance).all()


def test_the_square_itself_is_nearly_the_best_map(planted: Planted):
    given = planted.model, planted.pixels, planted.classes
    best = planted.inside.astype(np.float32)
    assert faithfulness.deletion_area(*given, best).max() < 0.2
    assert faithfulness.insertion_area(*given, best).min() > 0.9
    assert (faithfulness.deletion_area(*given, -best) > 0.9).mean() > 0.8


def test_areas_do_not_depend_on_how_many_go_at_once(planted: Planted, monkeypatch: pytest.MonkeyPatch):
    given = planted.model, planted.pixels[:4], planted.classes[:4], planted.pixels[:4, ..., 0].astype(float)
    areas = [method(*given, steps=5) for method in (faithfulness.deletion_area, faithfulness.insertion_area)]
    monkeypatch.setattr(inputs, "_MAX_BATCH", 5)
    for method, expected in zip((faithfulness.deletion_area, faithfulness.insertion_area), areas, strict=True):
        np.testing.assert_allclose(method(*given, steps=5), expected, atol=1e-5)
        alone = method(*(each[2:3] if isinstance(each, np.ndarray) else each for each in given), steps=5)
        np.testing.assert_allclose(alone, expected[2:3], atol=1e-5)


@pytest.mark.parametrize("shape", [(SIDE, SIDE, 1), (20, 28, 3), (1, 1, 3)], ids=["gray", "resized", "one pixel"])
def test_images_of_any_size_have_areas(shape: tuple[int, int, int]):
    model, pixels, classes = built(shape=shape), images(2, shape), np.array([0, 2])
    own = model.predict(pixels, verbose=0)[[0, 1], classes]
    for method in (faithfulness.deletion_area, faithfulness.insertion_area):
        found = method(model, pixels, classes, np.zeros((2, *shape[:2])), steps=3)
        assert found.dtype == np.float32
        assert ((found >= 0) & (found <= 1)).all()
        if shape[0] == 1:  # the mean colour and the blur of one pixel are that pixel
            np.testing.assert_allclose(found, own, atol=1e-5)


def test_an_ensemble_has_areas(planted: Planted):
    given = planted.pixels[:2], planted.classes[:2], planted.inside[:2].astype(float)
    before = planted.model.name
    expected = faithfulness.deletion_area(planted.model, *given)
    pair = cross_validate.build_ensemble([planted.model, built(classes=4)], (SIDE, SIDE, 3))
    other = faithfulness.deletion_area(pair.get_layer("fold_2"), *given)
    found = faithfulness.deletion_area(pair, *given)
    planted.model.name = before
    np.testing.assert_allclose(found, (expected + other) / 2, atol=1e-5)


@pytest.mark.parametrize("method", [faithfulness.deletion_area, faithfulness.insertion_area])
@pytest.mark.parametrize(
    ("pixels", "maps", "steps", "words"),
    [
        (np.full((1, 10, 10, 1), np.nan), np.zeros((1, 10, 10)), 2, "NaN"),
        (np.zeros((0, 10, 10, 1)), np.zeros((0, 10, 10)), 2, "images"),
        (np.zeros((10, 10)), np.zeros((10, 10)), 2, "images"),
        (np.zeros((1, 10, 10, 1)), np.zeros((1, 5, 5)), 2, "maps"),
        (np.zeros((1, 10, 10, 1)), np.full((1, 10, 10), np.nan), 2, "maps"),
        (np.zeros((1, 10, 10, 1)), np.zeros((1, 10, 10)), 0, "step"),
    ],
)
def test_what_would_mean_nothing_is_refused(method, pixels, maps, steps: int, words: str):
    with pytest.raises(ValueError, match=words):
        method(counting(), pixels, np.zeros(len(pixels), int)[:1], maps, steps=steps)
