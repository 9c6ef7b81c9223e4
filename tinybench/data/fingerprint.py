"""Hashes of pictures, of what a data set holds, and of files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from tinybench.data.dataset import Images, Pool

DIGEST = np.dtype("S16")


def of_image(image: Images) -> bytes:
    """16 bytes that stand for an image's shape and pixels."""
    hasher = hashlib.blake2b(repr(image.shape).encode(), digest_size=DIGEST.itemsize)
    hasher.update(np.ascontiguousarray(image).data)
    return hasher.digest()


def of_images(images: Images) -> NDArray[np.bytes_]:
    """The hash of each of (n, height, width, channels) images, (n,) S16."""
    return np.array([of_image(image) for image in images], DIGEST)


def of_content(pools: Iterable[Pool | None], names: Iterable[str]) -> str:
    """64 hex digits over all images and labels in their order, and the class names."""
    hasher = hashlib.sha256("\n".join(names).encode())
    for pool in pools:
        hasher.update(b"pool" if pool else b"none")
        if pool:
            hasher.update(pool.digests.tobytes())
            hasher.update(np.ascontiguousarray(pool.labels, np.int32).data)
    return hasher.hexdigest()


def of_file(path: Path, algorithm: str) -> str:
    """A file's hash in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
