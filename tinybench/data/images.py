"""Decode images to uint8 arrays; data sets and the served model use the same code.

Imports nothing but Pillow and NumPy, so that it can be copied into a logged model.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".ppm", ".pgm")

FORMAT_NAMES = "JPEG, PNG, BMP, WebP or PPM"

RESIZE_METHODS = ("squash", "crop", "pad")
_MEAN_COLOUR, _MEAN_GRAY = (124, 116, 104), 117  # of ImageNet

PIXEL_LIMIT = 89_478_485  # Pillow's own: a quarter of a gigabyte as RGB

_ORIENTATION = 0x0112  # the EXIF tag
_TRANSPOSED = (5, 6, 7, 8)  # its values for which height and width are exchanged

# What Pillow's parsers raise on bytes that are not a valid image
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


def decode(data: bytes, *, channels: Literal[1, 3] = 3, pixel_limit: int = PIXEL_LIMIT) -> NDArray[np.uint8]:
    """Decode an image file, upright according to its EXIF orientation.

    Gray, palette, CMYK and 16-bit images are converted; transparent pixels are laid on white; of an animation the
    first frame is used.

    Args:
        data: A JPEG, PNG, BMP, WebP or PPM file.
        channels: 3 for RGB, 1 for gray.
        pixel_limit: Number of pixels above which the image is refused.

    Returns:
        (height, width, channels) uint8.

    Raises:
        ValueError: Not such an image, a truncated or a too large one; the message is a short reason.
    """
    try:
        with _open(io.BytesIO(data), pixel_limit) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(_to_eight_bit(upright).convert("RGB" if channels == 3 else "L"))
    except _UNREADABLE as error:
        raise ValueError(_reason(error, pixel_limit)) from None
    return pixels.reshape(*pixels.shape[:2], channels)


def convert_array(pixels: ArrayLike, *, channels: Literal[1, 3] = 3) -> NDArray[np.uint8]:
    """Convert pixels that are decoded already to the form that `decode` returns.

    Args:
        pixels: (height, width) or (height, width, 1, 3 or 4) whole numbers in 0..255.
        channels: 3 for RGB, 1 for gray.

    Returns:
        (height, width, channels) uint8.

    Raises:
        ValueError: Another shape, fractions, or values out of range.
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
    image = _to_eight_bit(Image.fromarray(array.astype(np.uint8)))
    return np.asarray(image.convert("RGB" if channels == 3 else "L")).reshape(*array.shape[:2], channels)


def read_size(file: BinaryIO) -> tuple[int, int]:
    """Return the height and width that `decode` would give, read from the header alone.

    Raises:
        ValueError: Not an image.
    """
    try:
        with _open(file) as image:
            transposed = image.getexif().get(_ORIENTATION, 1) in _TRANSPOSED
            return (image.width, image.height) if transposed else (image.height, image.width)
    except _UNREADABLE as error:
        raise ValueError(_reason(error)) from None


def resize(image: NDArray[np.uint8], size: tuple[int, int], method: str) -> NDArray[np.uint8]:
    """Resize an image, bilinear with antialiasing.

    Args:
        image: (height, width, 1 or 3) uint8.
        size: The height and width of the result.
        method: What happens to an image of another aspect ratio, one of `RESIZE_METHODS`. `squash` changes its aspect
            ratio, `crop` keeps the largest part in the middle that has the right one, and `pad` keeps all of it and
            fills the rest with the mean colour of ImageNet's photographs.

    Returns:
        (*size, 1 or 3) uint8.
    """
    if image.shape[:2] == size:
        return image
    original = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    height, width = size
    if method == "squash":
        resized = _scale(original, width, height)
    elif method == "crop":
        resized = _scale(original, width, height, _middle_box(original, width / height))
    elif method == "pad":
        scale = min(width / original.width, height / original.height)
        inner_width, inner_height = (max(1, round(side * scale)) for side in original.size)
        resized = Image.new(original.mode, (width, height), _MEAN_COLOUR if original.mode == "RGB" else _MEAN_GRAY)
        inner = _scale(original, inner_width, inner_height)
        resized.paste(inner, ((width - inner_width) // 2, (height - inner_height) // 2))
    else:
        raise ValueError(f"Expected one of {', '.join(RESIZE_METHODS)}, got {method!r}.")
    return np.asarray(resized).reshape(*size, image.shape[2])


def _scale(
    image: Image.Image, width: int, height: int, box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR, box, reducing_gap=3.0)


def _middle_box(image: Image.Image, aspect: float) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the largest part in the middle with an aspect ratio (width / height)."""
    width, height = min(image.width, image.height * aspect), min(image.height, image.width / aspect)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return left, top, left + width, top + height


def _open(file: BinaryIO, pixel_limit: int = PIXEL_LIMIT) -> Image.Image:
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > pixel_limit:
        raise ValueError(f"{image.width} x {image.height} pixels are more than {pixel_limit:,}")
    return image


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """Return an opaque image with eight bits per channel."""
    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255 instead of scaling
        wide = np.asarray(image)
        if wide.dtype != np.uint16:
            wide = wide.clip(0, 65535).astype(np.uint16)
        quotient, remainder = np.divmod(wide, np.uint16(257))
        return Image.fromarray((quotient + (remainder > 128)).astype(np.uint8))  # rounded, in two bytes per pixel
    if image.has_transparency_data:
        foreground = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", foreground.size, "white"), foreground)
    return image


def _reason(error: Exception, pixel_limit: int = PIXEL_LIMIT) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {pixel_limit:,} pixels"  # Pillow would name its own limit
    if isinstance(error, UnidentifiedImageError):
        return f"not a {FORMAT_NAMES} image"
    return " ".join(str(error).split()) or type(error).__name__
