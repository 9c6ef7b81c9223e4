"""What a caller means by nested lists of numbers: one image, several, or nothing that can be told."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.inference import image_inputs
from tinybench.inference.image_inputs import ImageError

SHAPE = (12, 10, 3)


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def listed(value, shape=SHAPE):
    return [np.asarray(image).tolist() for image in image_inputs.list_images(value, shape)]


def as_cells(array):
    """Return the images of an array as MLflow puts them into a column: a list of arrays."""
    return [*array]


FORMS = [np.asarray, lambda array: array.tolist(), as_cells]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(32, 32, 3), (5, 7, 4), (30, 40, 1), (32, 32)])
def test_an_image_without_its_batch_is_one_image(form, shape):
    image = pixels(*shape)
    assert listed(form(image)) == [image.tolist()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "shape", [(2, 32, 32, 3), (1, 4, 4, 3), (4, 8, 9, 1), (1, 4, 4), (2, 32, 32), (40, 8, 8), (1, 32, 32)]
)
def test_a_batch_is_its_images(form, shape):
    batch = pixels(*shape)
    assert listed(form(batch)) == batch.tolist()


def test_images_of_several_sizes_and_kinds_are_a_batch():
    colour, gray, encoded = pixels(9, 8, 3), pixels(7, 30), base64.b64encode(b"x").decode()
    for batch in ([colour, gray], [gray, colour], [gray, pixels(20, 6)], [encoded, colour], [colour, encoded]):
        for given_form in (batch, [each if isinstance(each, str) else each.tolist() for each in batch]):
            assert [*image_inputs.list_images(given_form, SHAPE)] == given_form
    assert image_inputs.list_images([b"x", b"y"], SHAPE) == [b"x", b"y"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("shape", "model_shape", "words"),
    [
        ((3, 32, 32), (12, 10, 3), r"one image with its channels first \(3, 32, 32\), or three gray images"),
        ((2, 360), (12, 10, 3), r"rows of 360 numbers, which are the 12 x 10 x 3 of the model's images laid flat"),
        ((50, 64), (8, 8, 1), r"rows of 64 numbers, which are the 8 x 8 x 1 of the model's images laid flat"),
        ((4, 120), (12, 10, 3), r"rows of 120 numbers, which are the 12 x 10 x 1 of the model's images laid flat"),
        ((4, 192), (8, 8, 1), r"rows of 192 numbers, which are the 8 x 8 x 3 of the model's images laid flat"),
        ((30,), (12, 10, 3), r"numbers without rows"),
        ((32, 32, 2), (12, 10, 3), r"\(height, width, 1, 3 or 4\), got \(32, 32, 2\)"),
    ],
)
def test_what_can_mean_two_things_is_refused_with_both(form, shape, model_shape, words):
    with pytest.raises(ImageError, match=words):
        image_inputs.list_images(form(pixels(*shape)), model_shape)


def test_three_gray_images_are_no_colour_image_for_a_gray_model():
    batch = pixels(3, 28, 28)
    assert listed(batch, (28, 28, 1)) == batch.tolist()


@pytest.mark.parametrize("wrong", [[[[1, 2, 3], [4, 5]]], [[[1, 2, 3], [4, 5, 6]], [[1, 2, 3]]], [[1, 2], [3]]])
def test_a_ragged_image_stays_one_image_that_its_reader_refuses(wrong):
    (image,) = image_inputs.list_images(wrong, SHAPE)
    with pytest.raises(ValueError, match="lists of unlike lengths or depths"):
        image_inputs.to_array(image)


nested = st.recursive(
    st.integers(0, 255) | st.none() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(nested)
def test_whatever_is_nested_is_listed_or_refused(value):
    if not isinstance(value, list):
        return
    try:
        images = image_inputs.list_images(value, SHAPE)
    except ImageError:
        return
    assert len(images) in (1, len(value))


@pytest.mark.parametrize(
    "text",
    [
        lambda data: base64.b64encode(data).decode(),
        lambda data: base64.b64encode(data).decode().rstrip("="),
        lambda data: base64.urlsafe_b64encode(data).decode(),
        lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
        lambda data: "data:image/png;base64," + base64.b64encode(data).decode(),
        lambda data: "data:;base64," + base64.urlsafe_b64encode(data).decode().rstrip("="),
        lambda data: "DATA:image/png;charset=x;BASE64," + base64.b64encode(data).decode().replace("+", "%2B"),
        lambda data: base64.encodebytes(data).decode(),
        lambda data: f"  {base64.b64encode(data).decode()}\r\n",
    ],
)
@pytest.mark.parametrize("data", [b"\xfb\xff\xbe" * 7, b"\xfb\xff\xbe" * 30 + b"\xfb", b"\x00\x10\x83\xff"])
def test_base64_is_read_as_others_write_it(text, data):
    assert image_inputs.decode_base64(text(data)) == data


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("what?", "that is not base64"),
        ("ab+c_d==", "that mixes the two alphabets of base64"),
        ("abcde", "that is cut off"),
        ("ab==cdef", "that is not base64"),
        ("data:image/svg+xml,<svg/>", "a data: URL without ;base64"),
        ("data:image/png;base64", "a data: URL without ;base64"),
        ("http://example.org/cat.jpg", "an address: send the file itself"),
        ("ä" * 8, "that is not base64"),
    ],
)
def test_text_that_is_no_base64_is_refused_by_its_reason(text, words):
    with pytest.raises(ValueError, match=words):
        image_inputs.decode_base64(text)
