"""A model asked for a whole split, part by part."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import softmax

from tinybench.core.errors import TrainingError
from tinybench.data import fingerprint
from tinybench.data.dataset import ImagePool, Split
from tinybench.evaluation import predict_split

IMAGES = 70


@pytest.fixture(scope="module")
def split() -> Split:
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES + 10, 4, 4, 3), np.uint8)
    labels = np.arange(IMAGES + 10, dtype=np.int32) % 5
    rows = np.arange(IMAGES)[::-1]
    return Split(ImagePool(pixels, labels, fingerprint.hash_images(pixels)), rows, labels[rows])


def network(*, logits: bool) -> keras.Model:
    keras.utils.set_random_seed(1)
    pixels = keras.Input((4, 4, 3))
    found = keras.layers.Dense(5, name="logits" if logits else "other")(keras.layers.Flatten()(pixels / 255.0))
    return keras.Model(pixels, keras.layers.Softmax()(found))


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("batch_size", [1, 32, 100])
def test_the_answers_are_those_of_the_model_in_the_split_s_order(split: Split, logits: bool, batch_size: int) -> None:
    model = network(logits=logits)
    found = predict_split.SplitPredictor(model).predict(split, batch_size)
    np.testing.assert_array_equal(found.rows, split.rows)
    np.testing.assert_array_equal(found.labels, split.labels)
    expected = model.predict(split.images(), verbose=0)
    np.testing.assert_allclose(found.probabilities(), expected, atol=2e-3)
    if logits:
        given = keras.Model(model.inputs, model.get_layer("logits").output).predict(split.images(), verbose=0)
        np.testing.assert_allclose(softmax(given, axis=1), found.probabilities(), atol=2e-3)
        np.testing.assert_allclose(found.largest, given.max(axis=1), rtol=1e-5)


def test_parts_are_asked_for_one_after_another(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    predict = keras.Model.predict

    def noted(model: keras.Model, batches: keras.utils.PyDataset, **options: object) -> np.ndarray:
        found = predict(model, batches, **options)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(keras.Model, "predict", noted)
    predict_split.SplitPredictor(network(logits=True)).predict(split, 1)
    assert sizes == [64, 6]


def test_a_model_that_gives_no_numbers_is_refused(split: Split) -> None:
    model = network(logits=True)
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel * np.nan, bias])
    with pytest.raises(TrainingError, match=r"NaN or infinity for 32 of 32 images.*lower learning rate"):
        predict_split.SplitPredictor(model).predict(Split(split.pool, split.rows[:32], split.labels[:32]), 32)


def test_the_penalty_is_what_keras_adds() -> None:
    pixels = keras.Input((2,))
    layer = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.5), use_bias=False)
    model = keras.Model(pixels, layer(pixels))
    layer.set_weights([np.full((2, 3), 2.0)])
    assert predict_split.regularization_loss(model) == pytest.approx(0.5 * 4 * 6)
    assert predict_split.regularization_loss(network(logits=True)) == 0
