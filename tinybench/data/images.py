"""Encoded pictures to uint8 arrays; the same code reads data sets and what is sent to a served model.

Imports nothing beyond Pillow and NumPy, so that it can travel with a model.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
UNREAD = (".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2")  # pictures all the same

PIXEL_LIMIT = 89_478_485  # Pillow's own: a quarter of a gigabyte as RGB

_ORIENTATION = 0x0112

# What Pillow's parsers raise on bytes that are not what they claim to be.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def decode(data: bytes, *, channels: Literal[1, 3] = 3, most: int = PIXEL_LIMIT) -> NDArray[np.uint8]:
    """Pixels of an encoded picture, upright.

    Gray, palette, CMYK and 16-bit pictures are converted; transparency is laid on white; of an animation
    the first picture counts.

    Args:
        data: A JPEG, PNG, BMP or WebP file.
        channels: 3 for RGB, 1 for gray.
        most: Pixels that it may have.

    Returns:
        (height, width, channels) uint8.

    Raises:
        ValueError: not such a picture, cut short, or too large; the message is a short reason.
    """
    try:
        with _open(io.BytesIO(data), most) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(_eight_bit(upright).convert("RGB" if channels == 3 else "L"))
    except _UNREADABLE as error:
        raise ValueError(_reason(error, most)) from None
    return pixels.reshape(*pixels.shape[:2], channels)


def from_array(pixels: ArrayLike, *, channels: Literal[1, 3] = 3) -> NDArray[np.uint8]:
    """Pixels that somebody decoded already, in the form that `decode` gives.

    Args:
        pixels: (height, width) or (height, width, 1, 3 or 4) whole numbers in 0..255.
        channels: 3 for RGB, 1 for gray.

    Returns:
        (height, width, channels) uint8.

    Raises:
        ValueError: another shape, fractions, or values out of range.
    """
    array = np.asarray(pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ValueError(f"Expected pixels as (height, width) or (height, width, 1, 3 or 4), got {array.shape}.")
    if array.dtype.kind not in "ui":
        raise ValueError(f"Expected pixels as whole numbers in 0..255, got {array.dtype}; they must not be scaled.")
    if array.min() < 0 or array.max() > 255:
        raise ValueError(f"Expected pixels as whole numbers in 0..255, got {array.min()} to {array.max()}.")
    picture = _eight_bit(Image.fromarray(array.astype(np.uint8)))
    return np.asarray(picture.convert("RGB" if channels == 3 else "L")).reshape(*array.shape[:2], channels)


def size(file: BinaryIO) -> tuple[int, int]:
    """Height and width that `decode` will give, read from the header alone.

    Raises:
        ValueError: not a picture.
    """
    try:
        with _open(file) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)
    except _UNREADABLE as error:
        raise ValueError(_reason(error)) from None


def fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize to a height and width, bilinear with antialiasing; the aspect ratio is not kept.

    Args:
        image: (height, width, 1 or 3) uint8.
        size: Height and width to reach.

    Returns:
        (*size, 1 or 3) uint8.
    """
    if image.shape[:2] == size:
        return image
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    resized = np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=3.0))
    return resized.reshape(*size, image.shape[2])


def _open(file: BinaryIO, most: int = PIXEL_LIMIT) -> Image.Image:
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > most:
        raise ValueError(f"{image.width} x {image.height} pixels are more than {most:,}")
    return image


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255 instead of scaling.
        wide = np.asarray(image)
        if wide.dtype != np.uint16:
            wide = wide.clip(0, 65535).astype(np.uint16)
        whole, rest = np.divmod(wide, np.uint16(257))
        return Image.fromarray((whole + (rest > 128)).astype(np.uint8))  # rounded, in two bytes a pixel
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return image


def _reason(error: Exception, most: int = PIXEL_LIMIT) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {most:,} pixels"  # Pillow would name its own limit
    if isinstance(error, UnidentifiedImageError):
        return "not a JPEG, PNG, BMP or WebP picture"
    return " ".join(str(error).split()) or type(error).__name__
