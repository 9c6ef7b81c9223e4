"""Hash images and the content of data sets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from tinybench.data.dataset import ImagePool, Images

DIGEST = np.dtype("S16")


def hash_image(image: Images) -> bytes:
    """Return 16 bytes that identify the shape and the pixels of an image."""
    hasher = hashlib.blake2b(repr(image.shape).encode(), digest_size=DIGEST.itemsize)
    hasher.update(np.ascontiguousarray(image).data)
    return hasher.digest()


def hash_images(images: Images) -> NDArray[np.bytes_]:
    """Return the hash of each image of (n, height, width, channels), (n,) S16."""
    return np.array([hash_image(image) for image in images], DIGEST)


def hash_content(pools: Iterable[ImagePool | None], names: Iterable[str]) -> str:
    """Return 64 hex digits that identify all images and labels in their order, and the class names."""
    hasher = hashlib.sha256("\n".join(names).encode())
    for pool in pools:
        hasher.update(b"pool" if pool else b"none")
        if pool:
            hasher.update(pool.digests.tobytes())
            hasher.update(np.ascontiguousarray(pool.labels, np.int32).data)
    return hasher.hexdigest()
