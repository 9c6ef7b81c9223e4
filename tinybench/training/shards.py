"""A large array on disk in shards: each is written whole or not at all, and vouched for by a checksum.

A shard is a `.npy` file whose name carries the CRC-32 of its values, so that one rename publishes both.
What a crash leaves is never taken for a shard, and what the disk has damaged is found and computed again.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# A kill costs the shard that was being computed: not many images, and not many bytes to write
_MOST_ROWS = 256
_MOST_BYTES = 32 * 2**20

_NAME = re.compile(r"(\d{6})-([0-9a-f]{8})\.npy")


class Shards:
    """Rows of one shape and type, in a folder."""

    def __init__(self, folder: Path, count: int, shape: tuple[int, ...], dtype: str) -> None:
        """Args: the folder, how many rows, their shape, and a NumPy type."""
        self.folder = folder
        self.count = count
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.rows = max(1, min(_MOST_ROWS, _MOST_BYTES // self.row_bytes))
        self._present: dict[int, NDArray[np.floating]] = {}

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
            values = self._read(file, int(named[1]), named[2]) if named else None
            if named and values is not None:
                self._present[int(named[1])] = values
            else:
                file.unlink(missing_ok=True)
        return [index for index in range(math.ceil(self.count / self.rows)) if index not in self._present]

    def write(self, index: int, values: NDArray[np.floating]) -> None:
        """Write a shard.

        Raises:
            OSError: the disk is full or cannot be written; nothing of the shard is left.
        """
        part = self.folder / f"{index:06d}.{os.getpid()}.part"
        values = np.ascontiguousarray(values, self.dtype)
        try:
            with part.open("wb") as file:
                # np.save would say of a full disk only how many bytes it could not write
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
                file.write(values.data)
            whole = self.folder / f"{index:06d}-{zlib.crc32(values.data):08x}.npy"
            part.replace(whole)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
        self._present[index] = np.load(whole, mmap_mode="r", allow_pickle=False)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """Copies of rows, in the order that is asked for."""
        found = np.empty((len(rows), *self.shape), self.dtype)
        order = np.argsort(rows, kind="stable")
        of_shard = rows[order] // self.rows
        for index in np.unique(of_shard):
            first, last = np.searchsorted(of_shard, [index, index + 1])
            where = order[first:last]
            found[where] = self._arrays[int(index)][rows[where] - index * self.rows]
        return found

    @cached_property
    def _arrays(self) -> list[NDArray[np.floating]]:
        # Plain arrays over the maps: the memmap class makes every indexing several times slower
        return [np.asarray(self._present[index]) for index in sorted(self._present)]

    def _read(self, file: Path, index: int, checksum: str) -> NDArray[np.floating] | None:
        try:
            values = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        where = self.places(index)
        fits = values.shape == (max(0, where.stop - where.start), *self.shape) and values.dtype == self.dtype
        whole = fits and f"{zlib.crc32(np.ascontiguousarray(values).data):08x}" == checksum
        return values if whole else None
