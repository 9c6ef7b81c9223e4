"""A folder of your own pictures: one folder a class, with or without train/, val/ and test/ around them."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, images, scan
from tinybench.data.dataset_registry import FOLDER_PREFIX, Request
from tinybench.data.decoding import Encoded, Writer
from tinybench.data.folder_layout import Layout, read_layout

if TYPE_CHECKING:
    from tinybench.data.dataset import Source


def load(request: Request) -> Source:
    """The pictures of a folder, at native size when all have the same, else fit to the size of the run.

    Raises:
        DataError: no such folder, not one folder a class, or pictures that cannot be read.
    """
    root = _root(request.name)
    layout = read_layout(root)
    size = _common_size(root, layout.pictures)
    source = _with_test(_decoded(root, layout, size, request))
    side = request.image_size
    resized = () if size else (f"The pictures in {root} differ in size: each is resized to {side} x {side}.",)
    return replace(source, warnings=(*layout.warnings, *resized, *source.warnings))


def _root(name: str) -> Path:
    path = name.removeprefix(FOLDER_PREFIX)
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise DataError(
            f"There is no folder {path!r}: give `{FOLDER_PREFIX}/path`, where the path holds one folder a class."
        )
    return root


def _decoded(root: Path, layout: Layout, size: tuple[int, int] | None, request: Request) -> Source:
    height, width = size or (request.image_size, request.image_size)
    shape = (height, width, 3)
    skip = request.config.skip_corrupt

    def read(name: str) -> bytes:
        return (root / name).read_bytes()

    def build(folder: Path) -> decoded_cache.Contents:
        writer = Writer(folder, request.progress, skip)
        for split, members in layout.members.items():
            labels, names = zip(*members, strict=True)
            writer.encoded(split, Encoded(names, np.array(labels, np.int32), read, shape, fit=size is None))
        return decoded_cache.Contents(layout.classes, warnings=writer.corrupt_warnings())

    files = scan.fingerprint(layout.pictures)
    key = {"data": "folder", "path": str(root.resolve()), "files": files, "shape": shape, "skip_corrupt": skip}
    return decoded_cache.source({**key, "fit": size is None}, str(root), build)


def _with_test(source: Source) -> Source:
    """Validation images are the held-out test set where there is no other, as for Tiny ImageNet."""
    if source.test is None and source.validation is not None:
        return replace(source, test=source.validation, validation=None)
    return source


def _common_size(root: Path, pictures: tuple[scan.File, ...]) -> tuple[int, int] | None:
    """Height and width where all readable pictures share them."""
    key = {"sizes": str(root.resolve()), "files": scan.fingerprint(pictures)}
    sizes = decoded_cache.remember(key, lambda: sorted(_sizes(root, pictures)))
    return tuple(sizes[0]) if len(sizes) == 1 else None


def _sizes(root: Path, pictures: tuple[scan.File, ...]) -> set[tuple[int, int]]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {size for size in pool.map(lambda file: _size(root / file.name), pictures) if size}


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with path.open("rb") as file:
            return images.size(file)
    except (OSError, ValueError):
        return None  # decoding will name it
