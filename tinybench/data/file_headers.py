"""Find the images among the files of a folder by their content, and their sizes, without decoding them."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tinybench.data import decoded_cache, images, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_VERSION = 1  # of what is stored


@dataclass(frozen=True)
class FolderFiles:
    """The files under a folder, sorted into images and others.

    Attributes:
        root: The folder.
        images: The names of the images, relative to the folder: all files that have the suffix of an image, since a
            damaged one is reported when it is decoded, and all others that are one by their content.
        others: The names of the other files.
        side: The side of all readable images in pixels if they are squares of one size, else None.
        pixels: Number of pixels of the largest image.
        identity: A hash that stays the same while no image is changed; where there is none, no file.
    """

    root: Path
    images: tuple[str, ...]
    others: tuple[str, ...]
    side: int | None
    pixels: int
    identity: str


def read_files(root: Path) -> FolderFiles:
    """Read the headers of all files under a folder; what was found is stored until a file changes.

    Raises:
        DataError: A folder cannot be read.
    """
    listing = scan.list_files(root)
    key = {"headers": str(root.resolve()), "files": scan.hash_listing(listing), "version": _VERSION}
    facts = decoded_cache.compute_once(key, lambda: _read_facts(root, listing))
    content = set(facts["content"])
    is_image = {file.name: has_image_suffix(file.name) or file.name in content for file in listing}
    return FolderFiles(
        root,
        tuple(name for name, found in is_image.items() if found),
        tuple(name for name, found in is_image.items() if not found),
        facts["side"],
        facts["pixels"],
        scan.hash_listing([file for file in listing if is_image[file.name]] or listing),
    )


def has_image_suffix(name: str) -> bool:
    """Return whether a file has the suffix of an image that can be read."""
    return PurePosixPath(name).suffix.lower() in images.SUFFIXES


def is_image(path: Path) -> bool:
    """Return whether a file is an image by its suffix, or else by its content."""
    return has_image_suffix(path.name) or _read_size(path) is not None


def describe_others(names: Iterable[str]) -> str:
    """Return how many files of each kind are no images that can be read, such as `2 .gif`; empty if there are none."""
    counts = Counter(PurePosixPath(name).suffix.lower() or "without a suffix" for name in names)
    return ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(counts.items()))


def _read_facts(root: Path, listing: Sequence[scan.FileEntry]) -> dict[str, Any]:
    names = [file.name for file in listing]
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        sizes = list(executor.map(lambda name: _read_size(root / name), names))
    readable = {size for size in sizes if size}
    common = next(iter(readable)) if len(readable) == 1 else None
    return {
        "content": [name for name, size in zip(names, sizes, strict=True) if size and not has_image_suffix(name)],
        "side": common[0] if common and common[0] == common[1] else None,
        "pixels": max((height * width for height, width in readable), default=0),
    }


def _read_size(path: Path) -> tuple[int, int] | None:
    """Return height and width of an image; None for another file, and for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return images.read_size(file)
    except (OSError, ValueError):
        return None
