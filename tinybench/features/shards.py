"""A large array on disk in shards: each is written whole or not at all, and vouched for by a checksum.

A shard is a `.npy` file whose name carries the CRC-32 of its place and its bytes, so that one rename publishes
all. What a crash leaves is never taken for a shard, and what the disk has damaged is found and computed again.
"""

from __future__ import annotations

import errno
import io
import math
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# A kill costs the shard that was being computed: not many images, and not many bytes to write
_MOST_ROWS = 256
_MOST_BYTES = 32 * 2**20

_NAME = re.compile(r"(\d{6})-([0-9a-f]{8})\.npy")
_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # what this process lacks says nothing of a file


class Shards:
    """Rows of one shape and type, in a folder."""

    def __init__(self, folder: Path, count: int, shape: tuple[int, ...], dtype: str) -> None:
        """Args: the folder, how many rows, their shape, and a NumPy type."""
        self.folder = folder
        self.count = count
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.rows = max(1, min(_MOST_ROWS, _MOST_BYTES // self.row_bytes))
        self._present: dict[int, Path] = {}

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.count * self.row_bytes

    def places(self, index: int) -> slice:
        """The rows of a shard."""
        return slice(index * self.rows, min((index + 1) * self.rows, self.count))

    def missing(self) -> list[int]:
        """Shards that are not there; one that is damaged is removed.

        Every shard that was not looked at before is read once, for its checksum.
        """
        for file in self.folder.glob("*.npy"):
            named = _NAME.fullmatch(file.name)
            if named and int(named[1]) in self._present:
                continue
            if named and self._whole(file, int(named[1]), named[2]):
                self._present[int(named[1])] = file
            else:
                file.unlink(missing_ok=True)
        return [index for index in range(math.ceil(self.count / self.rows)) if index not in self._present]

    def write(self, index: int, values: NDArray[np.floating]) -> None:
        """Write a shard.

        Raises:
            OSError: the disk is full or cannot be written; nothing of the shard is left.
        """
        part = self.folder / f"{index:06d}.{os.getpid()}.part"
        content = _header(values.shape, self.dtype) + np.ascontiguousarray(values, self.dtype).tobytes()
        try:
            part.write_bytes(content)
            whole = part.with_name(f"{index:06d}-{zlib.crc32(content, index):08x}.npy")
            part.replace(whole)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
        self._present[index] = whole

    def clear(self) -> None:
        """Remove all shards."""
        for file in self.folder.glob("*.npy"):
            file.unlink(missing_ok=True)
        self._present.clear()

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """Copies of rows, in the order that is asked for; their shards must be there."""
        found = np.empty((len(rows), *self.shape), self.dtype)
        order = np.argsort(rows, kind="stable")
        of_shard = rows[order] // self.rows
        for index in np.unique(of_shard):
            first, last = np.searchsorted(of_shard, [index, index + 1])
            where = order[first:last]
            # Opened for the moment: a large bank has more shards than a process may hold files
            shard = np.load(self._present[int(index)], mmap_mode="r", allow_pickle=False)
            found[where] = np.asarray(shard)[rows[where] - index * self.rows]
        return found

    def _whole(self, file: Path, index: int, checksum: str) -> bool:
        where = self.places(index)
        header = _header((max(0, where.stop - where.start), *self.shape), self.dtype)
        try:
            content = file.read_bytes()
        except OSError as error:
            if error.errno in _OURS:
                raise
            return False
        return content.startswith(header) and f"{zlib.crc32(content, index):08x}" == checksum


def _header(shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> bytes:
    """What a `.npy` file of such an array begins with."""
    start = io.BytesIO()
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(start, {"descr": description, "fortran_order": False, "shape": shape})
    return start.getvalue()
