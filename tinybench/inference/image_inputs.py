"""Tell one image from several, and read what clients send in place of a file: base64 text and nested lists of pixels.

It is stored with every model, so it imports no more than the classifier does.
"""

from __future__ import annotations

import base64
import binascii
import io
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench.data import images as image_files

MAX_PIXELS = 50_000_000  # of an image: enough for a good camera, too few for a decompression bomb
_MAX_DEPTH = 6  # of nested lists
_MAX_CHANNELS = 4
_NESTED = (list, tuple, np.ndarray)
_SHAPES = "(height, width) or (height, width, 1, 3 or 4)"


class ImageError(ValueError):
    """An image that cannot be classified; the message is a sentence for the client."""


def list_images(images: Sequence[Any], shape: tuple[int, int, int]) -> Sequence[Any]:
    """Return images as a list of images, also where they are the rows of a single one.

    Rows of two dimensions whose last one is at most 4 are those of a colour image (height, width, channels): no image
    is so narrow. Rows of numbers are those of a gray image.

    Args:
        images: Images in any form, or the rows of one image.
        shape: Height, width and channels of the images that the model takes.

    Raises:
        ImageError: It can mean two things; the message says which, and how to say either.
    """
    if not len(images) or not all(isinstance(item, (*_NESTED, int, float, np.number)) for item in images):
        return images
    sizes = _measure(images)
    if len(sizes) == 1:
        raise ImageError(f"Expected images as {_SHAPES}, got numbers without rows.")
    if len(sizes) == 2:
        _refuse_flat_images(sizes[1], shape)
        return [images]
    if len(sizes) != 3 or len(images) == 1 or any(_depth(item) != 2 for item in images):
        return images
    if sizes[2] > _MAX_CHANNELS:
        _refuse_channels_first(sizes, shape)
        return images
    if sizes[2] == 2:
        raise ImageError(f"Expected images as {_SHAPES}, got {tuple(sizes)}.")
    return [images]


def count_pixels(image: Any) -> int:
    """Return how many pixels an image will have, before it is decoded; 0 if it cannot be told."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        try:
            height, width = image_files.read_size(io.BytesIO(image))
        except ValueError:
            return 0
        return height * width
    if isinstance(image, _NESTED) and len(image) and isinstance(image[0], _NESTED):
        return len(image) * len(image[0])
    return 0


def decode_base64(text: str) -> bytes:
    """Return the bytes of base64 text: of either alphabet, with or without padding, or in a data: URL.

    Raises:
        ValueError: It is no such text; the message is a short reason.
    """
    text = text.strip()
    if text[:5].lower() == "data:":
        header, comma, text = text.partition(",")
        if not comma or not header.lower().endswith(";base64"):
            raise ValueError("expected an image as base64 text, got a data: URL without ;base64")
        text = urllib.parse.unquote(text)
    elif text[:8].lower().startswith(("http://", "https://")):
        raise ValueError("expected an image as base64 text, got an address: send the file itself")
    letters = "".join(text.split()).rstrip("=")
    if any(letter in letters for letter in "-_"):
        if any(letter in letters for letter in "+/"):
            raise ValueError("expected an image as base64 text, got text that mixes the two alphabets of base64")
        letters = letters.replace("-", "+").replace("_", "/")
    try:
        # Padding says nothing that the length does not say, and many leave it out
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError):
        reason = "is cut off" if len(letters) % 4 == 1 and letters.isalnum() and letters.isascii() else "is not base64"
        raise ValueError(f"expected an image as base64 text, got text that {reason}") from None


def to_array(pixels: Any) -> NDArray[Any]:
    """Return nested lists as an array.

    Raises:
        ValueError: The lists are ragged or too deep, or hold no numbers in 0..255.
    """
    if isinstance(pixels, np.ndarray) and pixels.dtype != object:
        return pixels
    leaf, size, depth = pixels, 1, 0
    while isinstance(leaf, _NESTED) and len(leaf):
        leaf, size, depth = leaf[0], size * len(leaf), depth + 1
        if depth > _MAX_DEPTH:
            raise ValueError("expected pixels as (height, width, channels), got lists that are nested deeper")
    if isinstance(leaf, (str, bytes)):  # NumPy would make each one as wide as the longest
        raise ValueError("expected pixels as whole numbers in 0..255, got text")
    if size > 4 * MAX_PIXELS:
        raise ValueError(f"more than {MAX_PIXELS:,} pixels")
    try:
        array = np.array(pixels, np.float64)
    except OverflowError:
        raise ValueError("expected pixels as whole numbers in 0..255, got larger ones") from None
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError(
            "expected pixels as (height, width, channels), got lists of unlike lengths or depths"
        ) from None
    if array.size and not (array.min() >= 0 and array.max() <= 255):  # also rejects NaN
        raise ValueError(f"expected pixels as whole numbers in 0..255, got {array.min():g} to {array.max():g}")
    return array.astype(np.uint8) if (array == np.rint(array)).all() else array


def _measure(nested: Sequence[Any]) -> list[int]:
    """Return the lengths of the first list at each depth."""
    sizes: list[int] = []
    item: Any = nested
    while isinstance(item, _NESTED) and len(item) and len(sizes) <= _MAX_DEPTH:
        sizes.append(len(item))
        item = item[0]
    return sizes


def _depth(item: Any) -> int:
    return item.ndim if isinstance(item, np.ndarray) and item.dtype != object else len(_measure(item))


def _refuse_flat_images(width: int, shape: tuple[int, int, int]) -> None:
    """Raise if rows can be images of the model's shape that were laid flat, as tables of pixels have them."""
    height, model_width, _ = shape
    channels = {count * height * model_width: count for count in (1, 3)}.get(width)
    if channels is not None:
        raise ImageError(
            f"Expected images as {_SHAPES}, got rows of {width} numbers, which are the "
            f"{height} x {model_width} x {channels} of the model's images laid flat: give each image its shape, or "
            "send one gray image as (height, width, 1)."
        )


def _refuse_channels_first(sizes: list[int], shape: tuple[int, int, int]) -> None:
    """Raise if three gray images can be the channels of one image, as PyTorch has them."""
    if sizes[0] == 3 and shape[2] == 3:
        raise ImageError(
            f"Expected images as {_SHAPES}, got what can be one image with its channels first {tuple(sizes)}, or three "
            "gray images: send one image as (height, width, 3), or gray images as (3, height, width, 1)."
        )
