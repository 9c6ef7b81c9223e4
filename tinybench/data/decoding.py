"""Write the pools of a data set into a folder: arrays as they are, encoded images decoded into the mapped file."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import fingerprint, images
from tinybench.data import value_range as value_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tinybench.core.progress_bar import ProgressFactory
    from tinybench.data.dataset import Images, Labels

CHUNK = 64  # images that a thread decodes in one task
NAMED = 5  # corrupt images that a message names

_LFS_POINTER = b"version https://git-lfs"

# Decoding smaller images is mostly Python: two threads take twice as long as one
_SMALL = 128 * 128

# Bytes of memory that decoding may take at one time, and that a pixel takes: in Pillow's image, an upright copy of it,
# and the array
_MEMORY, _BYTES_A_PIXEL = 400 * 2**20, 12

# Bytes that stay free, because writing to a memory map on a full disk kills the process instead of raising an error
_SPARE = 64 * 2**20


@dataclass(frozen=True)
class EncodedImages:
    """Labelled images that are still encoded files.

    Attributes:
        names: The names that `read` takes.
        labels: (n,) int32.
        read: Returns the bytes of an image by its name, in any thread; raises KeyError or OSError.
        shape: Height, width and channels of every decoded image.
        resize: How an image of another size is resized (see `images.resize`); if None, it counts as corrupt.
        pixels: Number of pixels of the largest image, which bounds how many are decoded at one time.
        value_range: How values of 16 bits are converted, see `value_range.to_eight_bits`.
        wide: The largest value of each image of 16 bits that was decoded.
    """

    names: Sequence[str]
    labels: Labels
    read: Callable[[str], bytes]
    shape: tuple[int, int, int]
    resize: str | None = None
    pixels: int = 0
    value_range: str = value_ranges.FULL
    wide: list[int] = field(default_factory=list)

    @property
    def workers(self) -> int:
        """Return the number of threads that decodes fastest in bounded memory."""
        if self.shape[0] * self.shape[1] <= _SMALL and self.resize is None:
            return 1
        pixels = max(self.pixels, self.shape[0] * self.shape[1])
        return max(1, min(os.cpu_count() or 1, _MEMORY // (pixels * _BYTES_A_PIXEL)))

    def decode(self, index: int) -> tuple[Images, bytes]:
        """Return one image of the declared shape, and the hash of its pixels before it was resized.

        Raises:
            ValueError: The image cannot be read; the message is a short reason.
        """
        try:
            data = self.read(self.names[index])
        except (KeyError, OSError) as error:
            raise ValueError(f"cannot be opened: {error}") from None
        if data.startswith(_LFS_POINTER):
            raise ValueError("a pointer of Git LFS in place of the image: run git lfs pull")
        channels: Literal[1, 3] = 1 if self.shape[2] == 1 else 3
        image = images.decode(data, channels=channels, value_range=self.value_range, on_wide=self.wide.append)
        if self.resize is None and image.shape != self.shape:
            raise ValueError(f"{image.shape[1]} x {image.shape[0]}, not {self.shape[1]} x {self.shape[0]}")
        digest = fingerprint.hash_image(image)
        return image if self.resize is None else images.resize(image, self.shape[:2], self.resize), digest


@dataclass
class PoolWriter:
    """A writer of the pools of one data set, which collects the names of images that cannot be read.

    Attributes:
        folder: Where the files are written.
        progress: Shows the progress of decoding.
        skip_corrupt: Whether images that cannot be read are left out; otherwise they are an error.
        corrupt: "name (reason)" of each image that cannot be read.
    """

    folder: Path
    progress: ProgressFactory
    skip_corrupt: bool = False
    corrupt: list[str] = field(default_factory=list)

    def write_arrays(self, split: str, pixels: Images, labels: Labels) -> None:
        """Write images that are arrays already: (n, height, width, channels) uint8 and (n,) int32 labels."""
        self._check_space(pixels.nbytes)
        np.save(self._path(split, "images"), pixels)
        np.save(self._path(split, "labels"), labels)
        np.save(self._path(split, "digests"), fingerprint.hash_images(pixels))

    def write_encoded(self, split: str, encoded: EncodedImages) -> None:
        """Decode images chunk by chunk into the file, in the order of their names.

        Raises:
            DataError: There is not enough space, or no image at all can be read.
        """
        count = len(encoded.names)
        pixels = self._allocate(split, count, encoded.shape)
        digests = np.zeros(count, fingerprint.DIGEST)
        errors: dict[int, str] = {}

        def decode_chunk(start: int) -> int:
            chunk = range(start, min(start + CHUNK, count))
            for index in chunk:
                try:
                    pixels[index], digests[index] = encoded.decode(index)
                except ValueError as error:
                    errors[index] = str(error)
            return len(chunk)

        self._run(decode_chunk, encoded, f"Decoding {split}")
        self.corrupt += [f"{clean_name(encoded.names[index])} ({reason})" for index, reason in sorted(errors.items())]
        readable = np.setdiff1d(np.arange(count), list(errors))
        if errors and self.skip_corrupt:
            if not len(readable):
                raise DataError(f"None of the {count:,} {split} images can be read, such as {self.corrupt[-1]}.")
            self._remove_other_rows(split, readable)
        np.save(self._path(split, "labels"), encoded.labels[readable])
        np.save(self._path(split, "digests"), digests[readable])

    def corrupt_warnings(self) -> tuple[str, ...]:
        """Return the warning about images that were left out; call it when all pools are written.

        Raises:
            DataError: Some images cannot be read, and the settings do not allow to skip them.
        """
        if not self.corrupt:
            return ()
        more = f" and {len(self.corrupt) - NAMED} more" if len(self.corrupt) > NAMED else ""
        listed = f"{len(self.corrupt)} corrupt image(s): {', '.join(self.corrupt[:NAMED])}{more}"
        if self.skip_corrupt:
            return (f"Left out {listed}.",)
        raise DataError(f"Found {listed}. Repair or remove them, or leave them out with `--data.skip_corrupt true`.")

    def _run(self, decode_chunk: Callable[[int], int], encoded: EncodedImages, title: str) -> None:
        count = len(encoded.names)
        with ThreadPoolExecutor(encoded.workers) as executor, self.progress(title, count, "images") as advance:
            try:
                for decoded in executor.map(decode_chunk, range(0, count, CHUNK)):
                    advance(decoded)
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise

    def _path(self, split: str, array: str) -> Path:
        return self.folder / f"{split}.{array}.npy"

    def _allocate(self, split: str, count: int, shape: tuple[int, int, int]) -> Images:
        self._check_space(count * int(np.prod(shape)))
        return np.asarray(
            np.lib.format.open_memmap(self._path(split, "images"), mode="w+", dtype=np.uint8, shape=(count, *shape))
        )

    def _remove_other_rows(self, split: str, rows: NDArray[np.int64]) -> None:
        """Write the images of a pool anew with some rows only, chunk by chunk."""
        full = self._path(split, "images").rename(self._path(split, "full"))
        pixels: Images = np.asarray(np.load(full, mmap_mode="r"))
        remaining = self._allocate(split, len(rows), pixels.shape[1:])
        for start in range(0, len(rows), CHUNK):
            remaining[start : start + CHUNK] = pixels[rows[start : start + CHUNK]]
        full.unlink()

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if needed + _SPARE > free:
            raise DataError(
                f"Not enough room in {self.folder.parent}: {needed / 2**20:,.0f} MiB are needed, "
                f"{free / 2**20:,.0f} MiB are free. Make room, or set TINYBENCH_CACHE to a folder on another disk."
            )
