"""Pools into a folder of the cache: arrays as they are, encoded pictures decoded straight into the file."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import fingerprint, images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tinybench.core.progress_bar import Progress
    from tinybench.data.dataset import Images, Labels

CHUNK = 64
NAMED = 5

# Decoding smaller pictures is mostly Python: two threads take twice as long as one.
_SMALL = 128 * 128

# Kept free, because writing to a memory map on a full disk kills the process instead of raising an error.
_SPARE = 64 * 2**20


@dataclass(frozen=True)
class Encoded:
    """Pictures that are still files.

    Attributes:
        names: What `read` takes.
        labels: (n,) int32.
        read: The bytes of a picture by its name, from any thread; raises KeyError or OSError.
        shape: Height, width and channels of every decoded image.
        fit: Resize what has another size; when False such a picture counts as corrupt.
    """

    names: Sequence[str]
    labels: Labels
    read: Callable[[str], bytes]
    shape: tuple[int, int, int]
    fit: bool = False

    @property
    def workers(self) -> int:
        """How many threads decode fastest."""
        small = self.shape[0] * self.shape[1] <= _SMALL and not self.fit
        return 1 if small else os.cpu_count() or 1

    def decoded(self, index: int) -> Images:
        """One image of the declared shape.

        Raises:
            ValueError: it cannot be read; the message is a short reason.
        """
        try:
            data = self.read(self.names[index])
        except (KeyError, OSError) as error:
            raise ValueError(f"cannot be opened: {error}") from None
        image = images.decode(data, channels=1 if self.shape[2] == 1 else 3)
        if self.fit:
            return images.fit(image, self.shape[:2])
        if image.shape != self.shape:
            raise ValueError(f"{image.shape[1]} x {image.shape[0]}, not {self.shape[1]} x {self.shape[0]}")
        return image


@dataclass
class Writer:
    """Writes the pools of one data set and keeps the names of pictures that cannot be read.

    Attributes:
        folder: Where the files go.
        progress: Shows how far decoding is.
        skip_corrupt: Leave such pictures out instead of stopping.
        corrupt: "name (reason)" of each.
    """

    folder: Path
    progress: Progress
    skip_corrupt: bool = False
    corrupt: list[str] = field(default_factory=list)

    def arrays(self, split: str, pixels: Images, labels: Labels) -> None:
        """Write images that are arrays already: (n, height, width, channels) uint8 and (n,) int32."""
        self._check_space(pixels.nbytes)
        np.save(self._path(split, "images"), pixels)
        np.save(self._path(split, "labels"), labels)
        np.save(self._path(split, "digests"), fingerprint.of_images(pixels))

    def encoded(self, split: str, pictures: Encoded) -> None:
        """Decode pictures straight into the file, a chunk at a time."""
        count = len(pictures.names)
        pixels = self._allocate(split, count, pictures.shape)
        hashes = np.zeros(count, fingerprint.DIGEST)
        reasons: dict[int, str] = {}

        def work(start: int) -> int:
            chunk = range(start, min(start + CHUNK, count))
            for index in chunk:
                try:
                    pixels[index] = image = pictures.decoded(index)
                    hashes[index] = fingerprint.of_image(image)
                except ValueError as error:
                    reasons[index] = str(error)
            return len(chunk)

        self._run(work, pictures, f"Decoding {split}")
        self.corrupt += [f"{pictures.names[index]} ({reason})" for index, reason in sorted(reasons.items())]
        kept = np.setdiff1d(np.arange(count), list(reasons))
        if reasons and self.skip_corrupt:
            if not len(kept):
                raise DataError(f"None of the {count:,} {split} images can be read, such as {self.corrupt[-1]}.")
            self._compact(split, kept)
        np.save(self._path(split, "labels"), pictures.labels[kept])
        np.save(self._path(split, "digests"), hashes[kept])

    def corrupt_warnings(self) -> tuple[str, ...]:
        """What to tell about pictures that were left out, when all pools are written.

        Raises:
            DataError: pictures cannot be read and nobody asked to skip them.
        """
        if not self.corrupt:
            return ()
        more = f" and {len(self.corrupt) - NAMED} more" if len(self.corrupt) > NAMED else ""
        listed = f"{len(self.corrupt)} corrupt image(s): {', '.join(self.corrupt[:NAMED])}{more}"
        if self.skip_corrupt:
            return (f"Left out {listed}.",)
        raise DataError(f"Found {listed}. Mend or remove them, or leave them out with `--data.skip_corrupt true`.")

    def _run(self, work: Callable[[int], int], pictures: Encoded, title: str) -> None:
        count = len(pictures.names)
        with ThreadPoolExecutor(pictures.workers) as pool, self.progress(title, count, "images") as advance:
            try:
                for done in pool.map(work, range(0, count, CHUNK)):
                    advance(done)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _path(self, split: str, part: str) -> Path:
        return self.folder / f"{split}.{part}.npy"

    def _allocate(self, split: str, count: int, shape: tuple[int, int, int]) -> Images:
        self._check_space(count * int(np.prod(shape)))
        return np.asarray(
            np.lib.format.open_memmap(self._path(split, "images"), mode="w+", dtype=np.uint8, shape=(count, *shape))
        )

    def _compact(self, split: str, kept: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        full = self._path(split, "images").rename(self._path(split, "full"))
        pixels: Images = np.asarray(np.load(full, mmap_mode="r"))
        fewer = self._allocate(split, len(kept), pixels.shape[1:])
        for start in range(0, len(kept), CHUNK):
            fewer[start : start + CHUNK] = pixels[kept[start : start + CHUNK]]
        full.unlink()

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if needed + _SPARE > free:
            raise DataError(
                f"Not enough room in {self.folder.parent}: {needed / 2**20:,.0f} MiB are needed, "
                f"{free / 2**20:,.0f} MiB are free. Make room, or set TINYBENCH_CACHE to a folder on another disk."
            )
