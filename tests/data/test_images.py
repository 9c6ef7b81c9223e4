"""Every kind of picture becomes the uint8 array a person would see."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinybench.data import images

RAMP = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
COLOUR = np.stack([RAMP, RAMP.T, 255 - RAMP], axis=-1)


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_keep_every_pixel(encode, format, options):
    assert np.array_equal(images.decode(encode(COLOUR, format, **options)), COLOUR)


def test_jpeg_is_close(encode):
    flat = np.full((16, 16, 3), (200, 40, 90), np.uint8)
    assert np.abs(images.decode(encode(flat, "JPEG", quality=95)).astype(int) - flat).max() <= 3


def test_gray_becomes_three_equal_channels_or_stays_one(encode):
    assert np.array_equal(images.decode(encode(RAMP)), np.stack([RAMP] * 3, axis=-1))
    assert np.array_equal(images.decode(encode(RAMP), channels=1), RAMP[..., None])


def test_palette_is_looked_up(encode):
    flat = np.full((4, 4, 3), (10, 200, 30), np.uint8)
    assert np.array_equal(images.decode(encode(Image.fromarray(flat).quantize(4))), flat)


def test_palette_with_transparency_is_laid_on_white(encode):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.putdata([0, 1])
    assert images.decode(encode(image, transparency=0)).tolist() == [[[255, 255, 255], [255, 0, 0]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(encode, mode):
    image = Image.new("RGBA", (1, 1), (0, 0, 0, 0)).convert(mode)
    assert images.decode(encode(image)).tolist() == [[[255, 255, 255]]]
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128)).convert(mode)
    assert images.decode(encode(half)).ravel().tolist() == pytest.approx([127] * 3, abs=1)


def test_cmyk_jpeg_has_the_colours_of_print(encode):
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = images.decode(encode(cyan, "JPEG"))[4, 4].tolist()
    assert red < 30
    assert green > 200
    assert blue > 200


def test_sixteen_bits_are_scaled_and_not_clipped(encode):
    wide = np.array([[0, 256, 32768, 65535]], np.uint16)
    assert images.decode(encode(wide), channels=1).ravel().tolist() == [0, 1, 128, 255]
    assert images.decode(encode(wide)).shape == (1, 4, 3)


def test_one_bit_is_black_and_white(encode):
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    assert images.decode(encode(image), channels=1).ravel().tolist() == [0, 255]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_applied_and_the_header_says_the_same_size(encode, format):
    image = Image.new("RGB", (24, 8), "black")
    image.paste("white", (0, 0, 12, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated clockwise
    data = encode(image, format, exif=exif)
    upright = images.decode(data)
    assert upright.shape == (24, 8, 3)
    assert upright[2].mean() > 240
    assert upright[-2].mean() < 15
    assert images.read_size(io.BytesIO(data)) == (24, 8)


def test_truncated_picture_is_refused(encode):
    data = encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
    with pytest.raises(ValueError, match="truncated"):
        images.decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    "data", [b"", b"not a picture at all", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM" + b"\0" * 60]
)
def test_what_is_no_picture_is_refused_with_one_line(data):
    with pytest.raises(ValueError) as caught:
        images.decode(data)
    assert "\n" not in str(caught.value)
    assert str(caught.value)
    with pytest.raises(ValueError):
        images.read_size(io.BytesIO(data))


def test_other_formats_are_refused(encode):
    with pytest.raises(ValueError, match="not a JPEG, PNG, BMP, WebP or PPM"):
        images.decode(encode(RAMP, "GIF"))


def test_decompression_bomb_is_refused():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    with pytest.raises(ValueError, match="pixels"):
        images.decode(b"\x89PNG\r\n\x1a\n" + body)


def test_fit_gives_the_size_and_averages_when_it_shrinks():
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    small = images.resize(checks, (8, 4), "squash")
    assert small.shape == (8, 4, 1)
    assert np.abs(small.astype(int) - 127).max() < 10
    assert images.resize(COLOUR, (8, 8), "squash") is COLOUR
    assert images.resize(COLOUR, (20, 30), "squash").shape == (20, 30, 3)


def stripes(wide: bool) -> np.ndarray:
    """Four stripes of the colours 10, 60, 200 and 250, twice as long as they are wide together."""
    image = np.repeat(np.repeat([[10, 60, 200, 250]], 20, axis=0), 10, axis=1).astype(np.uint8)[..., None]
    return image if wide else image.transpose(1, 0, 2)


@pytest.mark.parametrize("wide", [True, False])
def test_each_method_keeps_what_it_says(wide):
    def along(method):
        resized = images.resize(stripes(wide), (40, 40), method)
        assert resized.shape == (40, 40, 1)
        return resized[20, :, 0].tolist() if wide else resized[:, 20, 0].tolist()

    squashed, cropped, padded = map(along, images.RESIZE_METHODS)
    assert [squashed[index] for index in (5, 15, 25, 35)] == [10, 60, 200, 250]
    assert [cropped[index] for index in (2, 10, 30, 38)] == [60, 60, 200, 200]
    assert [padded[index] for index in (5, 15, 25, 35)] == [10, 60, 200, 250]
    bars = images.resize(stripes(wide), (40, 40), "pad")[..., 0]
    bars = bars if wide else bars.T
    assert (bars[:9] == 117).all()
    assert (bars[-9:] == 117).all()
    colour = images.resize(np.repeat(stripes(wide), 3, axis=2), (40, 40), "pad")
    assert tuple(colour[0, 0]) == (124, 116, 104)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.sampled_from(images.RESIZE_METHODS))
def test_any_image_fits_any_square(height, width, side, method):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    resized = images.resize(pixels, (side, side), method)
    assert resized.shape == (side, side, 3)
    assert resized.dtype == np.uint8
    if height == width:
        np.testing.assert_array_equal(resized, images.resize(pixels, (side, side), "squash"))
    turned = images.resize(pixels.transpose(1, 0, 2), (side, side), method).transpose(1, 0, 2)
    if method != "pad" or height == width:  # a bar of an odd width has its wider part on one side
        assert np.abs(turned.astype(int) - resized).max() <= 1


def test_an_unknown_method_is_an_error():
    with pytest.raises(ValueError, match="one of squash, crop, pad"):
        images.resize(COLOUR, (3, 3), "stretch")


@pytest.mark.parametrize("pixels", [COLOUR, COLOUR.tolist(), COLOUR.astype(np.int64)])
def test_array_is_taken_as_it_is(pixels):
    assert np.array_equal(images.convert_array(pixels), COLOUR)
    assert images.convert_array(pixels).dtype == np.uint8


def test_array_is_converted_as_a_file_would_be(encode):
    assert np.array_equal(images.convert_array(RAMP), images.decode(encode(RAMP)))
    assert np.array_equal(images.convert_array(RAMP[..., None], channels=1), RAMP[..., None])
    assert np.array_equal(images.convert_array(COLOUR, channels=1), images.decode(encode(COLOUR), channels=1))
    layered = np.dstack([COLOUR, RAMP])
    assert np.array_equal(images.convert_array(layered), images.decode(encode(layered)))


@pytest.mark.parametrize("pixels", [RAMP / 255, RAMP.astype(int) * 2, RAMP.astype(int) - 1, "text"])
def test_array_of_other_values_is_refused(pixels):
    with pytest.raises(ValueError, match="Expected pixels as"):
        images.convert_array(pixels)


@pytest.mark.parametrize("shape", [(), (4,), (0, 4, 3), (4, 4, 2), (1, 4, 4, 3)])
def test_array_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"got \("):
        images.convert_array(np.zeros(shape, np.uint8))


def test_module_needs_nothing_heavy():
    heavy = ("sklearn", "rich", "requests", "keras")
    code = f"import sys, tinybench.data.images; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
