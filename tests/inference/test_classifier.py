"""Pictures of any form and size are answered as evaluation answers them, or refused with a sentence."""

from __future__ import annotations

import base64
import io
import threading

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.special import softmax

from tinybench.inference import classifier
from tinybench.inference.classifier import ImageClassifier, ImageError, ModelInfo, PixelBudget

SHAPE = (12, 10, 3)
LABELS = ("ant", "bee", "cat", "dog")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    taken = keras.Input(SHAPE, dtype="uint8")
    inner = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(taken))
    logits = keras.layers.Dense(4, name="logits")(inner)
    return keras.Model(taken, keras.layers.Softmax()(logits))


@pytest.fixture(scope="module")
def asked(model):
    return ImageClassifier(model, ModelInfo(LABELS, SHAPE, temperature=2.0), version="7")


def colour(height=12, width=10, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encoded(pixels, kind="PNG", **words):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **words)
    return file.getvalue()


def test_probabilities_are_those_of_the_logits_at_the_temperature(asked, model):
    pixels = np.stack([colour(seed=seed) for seed in range(70)])  # more than are computed at once
    logits = keras.Model(model.inputs, model.get_layer("logits").output).predict(pixels, verbose=0)
    np.testing.assert_allclose(asked.probabilities(pixels), softmax(logits / 2.0, axis=1), atol=1e-6)


def test_a_model_without_logits_answers_by_its_probabilities(model, asked):
    renamed = keras.models.clone_model(model, clone_function=lambda layer: layer.__class__.from_config(
        layer.get_config() | {"name": "other" if layer.name == "logits" else layer.name}))  # fmt: skip
    renamed.set_weights(model.get_weights())
    pixels = colour()[None]
    found = ImageClassifier(renamed, asked.info).probabilities(pixels)
    np.testing.assert_allclose(found, asked.probabilities(pixels), atol=1e-5)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP"])
def test_every_form_of_a_picture_is_the_same_picture(asked, kind):
    pixels = colour()
    data = encoded(pixels, kind, **({"lossless": True} if kind == "WEBP" else {}))
    text = base64.b64encode(data).decode()
    forms = [data, text, f"data:image/png;base64,{text}", text[:20] + "\n" + text[20:], pixels, pixels.tolist()]
    answers = asked(forms, top_k=4)
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].model_version == "7"
    assert answers[0].warnings == []
    assert sum(answers[0].probabilities) == pytest.approx(1)
    assert answers[0].probabilities == sorted(answers[0].probabilities, reverse=True)


def test_top_k_is_how_many_labels_there_are(asked):
    assert [len(asked([colour()], top_k).pop().labels) for top_k in (1, 3, 4, 99)] == [1, 3, 4, 4]


def test_a_small_and_a_gray_picture_are_warned_of(asked):
    small, gray, both = colour(5, 10), np.repeat(colour()[..., :1], 3, axis=2), np.zeros((4, 4), np.uint8)
    words = [answer.warnings for answer in asked([small, gray, both, colour()])]
    assert words[0] == ["The image is 10 x 5, much smaller than the 10 x 12 of the training images."]
    assert words[1] == ["The image is gray."]
    assert len(words[2]) == 2
    assert words[3] == []


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("what?", "expected an image as base64 text"),
        (b"what?", "not a JPEG, PNG, BMP, WebP or PPM image"),
        (encoded(colour(80, 80))[:-40], "truncated"),
        (None, "expected base64 text or pixels, got NoneType"),
        (5, "expected base64 text or pixels, got int"),
        ({"image": 1}, "got dict"),
        ([], "Expected pixels as (height, width)"),
        ([[1, 2], [3]], "lists of unlike lengths or depths"),
        ([[1.5, 2], [3, 4]], "they must not be scaled"),
        ([[1, 2], [3, 400]], "whole numbers in 0..255"),
        ([["a", "b"]], "expected pixels as whole numbers in 0..255, got text"),
        ([["a" * 1_000_000, *["b"] * 500_000]], "got text"),
        ([[1, "a" * 1_000_000, *["b"] * 1000]], "lists of unlike lengths or depths"),
        ([[None]], "whole numbers in 0..255, got nan"),
        ([[[[1]]]], "Expected pixels as (height, width)"),
        ([[10**30]], "whole numbers in 0..255"),
    ],
)
def test_what_is_no_picture_is_told_with_its_place(asked, picture, words):
    with pytest.raises(ImageError) as caught:
        asked([colour(), picture])
    assert str(caught.value).startswith("Image 2 of 2 cannot be used: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_bomb_is_refused_before_it_is_unpacked(asked, monkeypatch):
    monkeypatch.setattr(classifier, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match="100 x 100 pixels are more than 1,000"):
        asked([encoded(np.zeros((100, 100, 3), np.uint8))])


def test_many_large_pictures_are_too_much_for_one_request(asked, monkeypatch):
    monkeypatch.setattr(classifier, "MAX_TOTAL_PIXELS", 300)
    asked([colour(), colour()])
    with pytest.raises(ImageError, match="more than 300 pixels together: send fewer at once"):
        asked([colour(), colour(), colour()])


@pytest.mark.parametrize(
    ("pictures", "top_k", "words"),
    [([], 5, "at least one image"), ([b"x"], 0, "top_k"), ([b"x"], "3", "top_k"), ([b"x"], True, "top_k"),
     ([b""] * 1025, 5, "at most 1,024 images")],
)  # fmt: skip
def test_too_few_too_many_and_no_number(asked, pictures, top_k, words):
    with pytest.raises(ImageError, match=words):
        asked(pictures, top_k)


def test_threads_get_their_own_answers(asked):
    pictures = [colour(seed=seed) for seed in range(8)]
    alone = [asked([picture])[0].labels for picture in pictures]
    found = {}

    def ask(place):
        found[place] = [asked([pictures[place]])[0].labels for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[place] == [alone[place]] * 10 for place in range(8))


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["raw", "base64", "cut"]))
def test_whatever_bytes_come_they_are_answered_or_refused(asked, noise, form):
    data = {"raw": noise, "base64": base64.b64encode(noise).decode(), "cut": encoded(colour())[: len(noise)] + noise}
    try:
        (answer,) = asked([data[form]])
    except ImageError:
        return
    assert len(answer.labels) == 4


def test_what_is_known_of_a_model_is_read_back(asked):
    assert ModelInfo.from_json(asked.info.as_json()) == asked.info
    assert (
        ModelInfo.from_json('{"labels": ["a"], "shape": [8, 8, 1]}').temperature == 1.0
    )  # of models before there was one


def test_pictures_wait_for_room_and_small_ones_find_some(asked, monkeypatch):
    monkeypatch.setattr(asked, "_budget", PixelBudget(2000))
    large, small = encoded(colour(40, 40)), encoded(colour(10, 10))
    with asked._budget.acquire(1500):
        waiting = threading.Thread(target=asked, args=([large],))
        waiting.start()
        assert asked([small])
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(20)
    assert not waiting.is_alive()
    with asked._budget.acquire(10**9):  # all of it
        pass


def test_too_many_pixels_together_are_refused_before_they_are_read(asked, monkeypatch):
    monkeypatch.setattr(classifier, "MAX_TOTAL_PIXELS", 1000)
    monkeypatch.setattr(asked, "_read", lambda picture: pytest.fail("it was read"))
    with pytest.raises(ImageError, match="more than 1,000 pixels together"):
        asked([encoded(colour(40, 40))])


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ([[300, 0], [0, 0]], "whole numbers in 0..255, got 0 to 300"),
        ([[-1, 5]], "got -1 to 5"),
        ([[float("inf"), 5]], "got 5 to inf"),
        ([[float("nan"), 5]], "got nan to nan"),
        ([[10**400]], "got larger ones"),
        (eval("[" * 90 + "1" + "]" * 90), "lists that are nested deeper"),
    ],
)
def test_pixels_that_are_none_are_told_why(asked, picture, words):
    with pytest.raises(ImageError, match=words):
        asked([picture])
