"""Read idx files, the format in which MNIST was published: a header of big-endian numbers, then uint8 values.

They come from strangers: sizes are checked before anything is read by them, and packed files are unpacked no further
than their header says.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE_LIMIT = 2**30  # bytes of an array: 20 times MNIST's

_UINT8 = 8  # the code of the type of values in the header
_GZIP = b"\x1f\x8b"


def parse(data: bytes, name: str, dimensions: int) -> NDArray[np.uint8]:
    """Return the array in an idx file.

    Args:
        data: The content of the file, packed by gzip or not.
        name: The name of the file, for the error message.
        dimensions: The number of dimensions that the array must have.

    Raises:
        DataError: It is no idx file of uint8 values with so many dimensions, or it is damaged or too large.
    """
    stream = io.BytesIO(data)
    try:
        return _read(gzip.GzipFile(fileobj=stream) if data.startswith(_GZIP) else stream, dimensions)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"Refused {name}: not one of MNIST's idx files ({reason}). Fetch it again.") from None


def _read(stream: io.BufferedIOBase, dimensions: int) -> NDArray[np.uint8]:
    """Return the array in an idx file that is unpacked as it is read; raise ValueError for anything else."""
    header = stream.read(4 + 4 * dimensions)
    if len(header) < 4 + 4 * dimensions or header[:4] != bytes((0, 0, _UINT8, dimensions)):
        raise ValueError(f"it begins with {header[:4].hex() or 'nothing'}, not 00000{_UINT8}{dimensions:02x}")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = math.prod(shape)
    if size > SIZE_LIMIT:
        raise ValueError(f"{' x '.join(map(str, shape))} values are more than {SIZE_LIMIT:,}")
    values = stream.read(size + 1)
    if len(values) != size:
        have = f"more than {size:,}" if len(values) > size else f"{len(values):,}"
        raise ValueError(f"{have} values for {' x '.join(map(str, shape))}")
    return np.frombuffer(values, np.uint8).reshape(shape)
