"""Convert the values of 16-bit images to 0..255, from all that 16 bits can hold or from the range that is used.

Imports nothing but NumPy, so that it can be copied into a logged model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FULL = "full"
IMAGE = "image"
_BITS = {"14bit": 14, "12bit": 12, "10bit": 10, "8bit": 8}
_NEARLY_BLACK = 32  # of 255
RANGES = (FULL, *_BITS, IMAGE)


def to_eight_bits(pixels: NDArray[np.uint16], value_range: str) -> NDArray[np.uint8]:
    """Convert pixels of 16 bits, rounded to the nearest value.

    Args:
        pixels: Of any shape.
        value_range: One of `RANGES`. `full` makes 65,535 white, `12bit` 4,095 and so on, with all above it; `image`
            makes the darkest pixel of the image black and its brightest one white.
    """
    if value_range == FULL:
        quotient, remainder = np.divmod(pixels, np.uint16(257))
        return (quotient + (remainder > 128)).astype(np.uint8)  # in two bytes per pixel
    if value_range == IMAGE:
        black, white = int(pixels.min()), int(pixels.max())
    else:
        black, white = 0, 2 ** _BITS[value_range] - 1
    span = max(white - black, 1)
    above_black = np.minimum(pixels, np.uint16(white)).astype(np.uint32) - np.uint32(black)
    return ((above_black * 255 + span // 2) // span).astype(np.uint8)


def describe_misfit(largest: int, value_range: str) -> str:
    """Return what a range does to 16-bit images that it does not fit, as a sentence; empty if it fits.

    Args:
        largest: Their largest value.
        value_range: One of `RANGES`.
    """
    if value_range == IMAGE:
        return ""
    limit = 2 ** _BITS.get(value_range, 16) - 1
    if largest > limit:
        return (
            f"16-bit values reach {largest:,}, and `data.range` {value_range} makes all above {limit:,} white. "
            f"{_advise(largest)}"
        )
    if _is_dark(largest, limit):
        return f"16-bit values reach only {largest:,}, which {_describe_dark(largest, value_range)}. {_advise(largest)}"
    return ""


def describe_misfits(largest: Sequence[int], value_range: str) -> str:
    """Return what a range does to some 16-bit images, as a sentence; empty if it fits all, or nearly all.

    Args:
        largest: The largest value of each image.
        value_range: One of `RANGES`.
    """
    misfit = describe_misfit(max(largest), value_range)
    typical = sorted(largest)[len(largest) // 2]
    if misfit or value_range == IMAGE or not _is_dark(typical, 2 ** _BITS.get(value_range, 16) - 1):
        return misfit
    return (
        f"16-bit values reach {max(largest):,}, but in half of the images only {typical:,}, which "
        f"{_describe_dark(typical, value_range)}. `data.range` image takes the range of each image."
    )


def _is_dark(largest: int, limit: int) -> bool:
    return 4 * largest < limit and max(largest, 1).bit_length() < limit.bit_length() and limit > 255


def _describe_dark(largest: int, value_range: str) -> str:
    brightest = round(largest * 255 / (2 ** _BITS.get(value_range, 16) - 1))
    return (
        f"`data.range` {value_range} makes {'nearly black' if brightest <= _NEARLY_BLACK else 'dark'} "
        f"({brightest} of 255)"
    )


def _advise(largest: int) -> str:
    fitting = [name for name, bits in _BITS.items() if largest < 2**bits]
    return f"The model fits them if it is trained with `data.range` {fitting[-1] if fitting else FULL}."
