"""16-bit images become eight bits by the range that is asked for, and one that does not fit is told."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinybench.config.run_config import SETTINGS
from tinybench.data import images, value_range
from tinybench.data.value_range import RANGES, describe_misfit, describe_misfits, to_eight_bits

WHITE = {"full": 65535, "14bit": 16383, "12bit": 4095, "10bit": 1023, "8bit": 255}


def test_the_setting_has_these_ranges():
    for name in RANGES:
        assert SETTINGS["data.range"].value_type.parse(name) == name


@pytest.mark.parametrize("name", WHITE)
def test_a_number_of_bits_makes_its_largest_value_white(name):
    white = WHITE[name]
    values = np.array([0, white // 2, white, min(white + 1, 65535), 65535], np.uint16)
    assert to_eight_bits(values, name).tolist() == [0, 127, 255, 255, 255]


@pytest.mark.parametrize("name", WHITE)
@given(value=st.integers(0, 65535))
def test_values_are_rounded_to_the_nearest(name, value):
    exact = min(value, WHITE[name]) * 255 / WHITE[name]
    (found,) = to_eight_bits(np.array([value], np.uint16), name)
    assert abs(float(found) - exact) <= 0.5 + 1e-9


def test_an_image_s_own_range_is_from_its_darkest_to_its_brightest():
    assert to_eight_bits(np.array([300, 310, 320], np.uint16), "image").tolist() == [0, 128, 255]
    assert to_eight_bits(np.array([7, 7], np.uint16), "image").tolist() == [0, 0]
    assert to_eight_bits(np.array([0, 65535], np.uint16), "image").tolist() == [0, 255]


@pytest.mark.parametrize(
    ("largest", "name", "words"),
    [
        (4095, "full", "reach only 4,095, which `data.range` full makes nearly black (16 of 255). The model fits them "
                       "if it is trained with `data.range` 12bit."),
        (1000, "full", "`data.range` 10bit."),
        (255, "full", "`data.range` 8bit."),
        (0, "full", "`data.range` 8bit."),
        (16383, "full", "`data.range` 14bit."),
        (20000, "full", ""),
        (65535, "full", ""),
        (4095, "12bit", ""),
        (4096, "12bit", "reach 4,096, and `data.range` 12bit makes all above 4,095 white. The model fits them if it is "
                        "trained with `data.range` 14bit."),
        (65535, "12bit", "`data.range` full."),
        (900, "12bit", "makes dark (56 of 255). The model fits them if it is trained with `data.range` 10bit."),
        (200, "8bit", ""),
        (3, "8bit", ""),
        (3, "image", ""),
        (65535, "image", ""),
    ],
)  # fmt: skip
def test_a_range_that_does_not_fit_is_told(largest, name, words):
    said = describe_misfit(largest, name)
    assert bool(said) == bool(words)
    assert words in said


def encoded(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def wide(height=6, width=5, largest=4095):
    pixels = np.random.default_rng(0).integers(0, largest, (height, width), np.uint16)
    pixels[0, 0] = largest
    return pixels


@pytest.mark.parametrize("name", RANGES)
def test_a_16_bit_file_is_read_by_the_range(name):
    pixels, largest = wide(), []
    found = images.decode(encoded(pixels), channels=1, value_range=name, on_wide=largest.append)
    np.testing.assert_array_equal(found[..., 0], to_eight_bits(pixels, name))
    assert largest == [4095]
    np.testing.assert_array_equal(images.decode(encoded(pixels), value_range=name)[..., 2], found[..., 0])


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_8_bit_images_are_the_same_in_any_range(name, kind):
    data = encoded(np.random.default_rng(1).integers(0, 99, (5, 4, 3), np.uint8), kind)
    largest = []
    np.testing.assert_array_equal(images.decode(data, value_range=name, on_wide=largest.append), images.decode(data))
    assert largest == []


def test_a_pgm_file_says_itself_which_value_is_white():
    data = b"P5 2 1 4095\n" + np.array([0, 4095], ">u2").tobytes()
    assert images.decode(data, channels=1).ravel().tolist() == [0, 255]


def png_of_16_bit_colours(pixels):
    """A PNG file as Pillow cannot write it: three channels of 16 bits."""
    import struct
    import zlib

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_colours_of_16_bits_are_told_and_read_in_the_full_range_only():
    pixels = np.full((3, 2, 3), 4000, np.uint16)
    data, largest = png_of_16_bit_colours(pixels), []
    assert images.decode(data, on_wide=largest.append).max() == 4000 >> 8
    assert describe_misfit(*largest, value_range.FULL)
    with pytest.raises(ValueError, match=r"colours of 16 bits, which data\.range 12bit does not read"):
        images.decode(data, value_range="12bit")


@pytest.mark.parametrize(
    ("largest", "name", "words"),
    [
        ([4095] * 39 + [65535], "full", "16-bit values reach 65,535, but in half of the images only 4,095, which "
         "`data.range` full makes nearly black (16 of 255). `data.range` image takes the range of each image."),
        ([4095] * 40, "full", "The model fits them if it is trained with `data.range` 12bit."),
        ([4095] * 19 + [65535] * 21, "full", ""),
        ([4095] * 39 + [65535], "image", ""),
        ([1100] * 39 + [4095], "12bit", ""),
        ([900] * 39 + [4095], "12bit", "dark (56 of 255)"),
    ],
)  # fmt: skip
def test_one_bright_image_does_not_hide_that_the_others_are_dark(largest, name, words):
    told = describe_misfits(largest, name)
    assert (words in told) if words else (told == "")
