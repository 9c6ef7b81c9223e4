"""A large array on disk in shards: each is written whole or not at all, and carries a checksum.

A shard is a `.npy` file whose name holds the CRC-32 of its index and its bytes, so that one rename publishes
both. Files that a crash left are never taken for shards, and damaged shards are detected and computed again.
"""

from __future__ import annotations

import errno
import io
import math
import re
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinybench.core import atomic

# A killed process loses the shard it was computing: few images, and few bytes to write
_MAX_ROWS = 256
_MAX_BYTES = 32 * 2**20

_NAME = re.compile(r"(\d{6})-([0-9a-f]{8})\.npy")
_PROCESS_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # errors that do not mean a damaged file


class Shards:
    """Rows of one shape and type, in a folder.

    Args:
        folder: Need not exist yet.
        count: Number of rows.
        shape: Shape of a row.
        dtype: NumPy type.
    """

    def __init__(self, folder: Path, count: int, shape: tuple[int, ...], dtype: str) -> None:
        self.folder = folder
        self.count = count
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.rows = max(1, min(_MAX_ROWS, _MAX_BYTES // self.row_bytes))
        self._present: dict[int, Path] = {}

    @property
    def row_bytes(self) -> int:
        """The size of a row in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """The size of all rows in bytes."""
        return self.count * self.row_bytes

    def rows_of(self, index: int) -> slice:
        """Return which rows a shard holds."""
        return slice(index * self.rows, min((index + 1) * self.rows, self.count))

    def missing(self) -> list[int]:
        """Return the indices of the shards that are absent; damaged ones are removed.

        Each shard is read once per process, for its checksum.
        """
        for file in self.folder.glob("*.npy"):
            match = _NAME.fullmatch(file.name)
            if match and int(match[1]) in self._present:
                continue
            if match and self._is_intact(file, int(match[1]), match[2]):
                self._present[int(match[1])] = file
            else:
                file.unlink(missing_ok=True)
        return [index for index in range(math.ceil(self.count / self.rows)) if index not in self._present]

    def write(self, index: int, values: NDArray[np.floating]) -> None:
        """Write a shard.

        Raises:
            OSError: The disk is full or cannot be written; nothing of the shard is left.
        """
        content = _header(values.shape, self.dtype) + np.ascontiguousarray(values, self.dtype).tobytes()
        path = self.folder / f"{index:06d}-{zlib.crc32(content, index):08x}.npy"
        with atomic.replacing(path) as partial:
            partial.write_bytes(content)
        self._present[index] = path

    def clear(self) -> None:
        """Remove all shards."""
        for file in self.folder.glob("*.npy"):
            file.unlink(missing_ok=True)
        self._present.clear()

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return copies of rows, in the given order; their shards must exist."""
        values = np.empty((len(rows), *self.shape), self.dtype)
        order = np.argsort(rows, kind="stable")
        shard_indices = rows[order] // self.rows
        for index in np.unique(shard_indices):
            first, last = np.searchsorted(shard_indices, [index, index + 1])
            targets = order[first:last]
            # Not kept open: a large bank has more shards than a process may hold files
            shard = np.load(self._present[int(index)], mmap_mode="r", allow_pickle=False)
            values[targets] = np.asarray(shard)[rows[targets] - index * self.rows]
        return values

    def _is_intact(self, file: Path, index: int, checksum: str) -> bool:
        rows = self.rows_of(index)
        header = _header((max(0, rows.stop - rows.start), *self.shape), self.dtype)
        try:
            content = file.read_bytes()
        except OSError as error:
            if error.errno in _PROCESS_LIMITS:
                raise
            return False
        return content.startswith(header) and f"{zlib.crc32(content, index):08x}" == checksum


def _header(shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> bytes:
    """Return the header of a `.npy` file of such an array."""
    start = io.BytesIO()
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(start, {"descr": description, "fortran_order": False, "shape": shape})
    return start.getvalue()
