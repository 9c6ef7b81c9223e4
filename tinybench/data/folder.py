"""Load a folder of images: one folder per class, directly inside it or inside train/, val/ and test/."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, images, scan
from tinybench.data.decoding import EncodedImages, PoolWriter
from tinybench.data.folder_layout import FolderLayout, read_layout
from tinybench.data.load_request import FOLDER_PREFIX, LoadRequest

if TYPE_CHECKING:
    from tinybench.data.dataset import RawDataset


def load(request: LoadRequest) -> RawDataset:
    """Load the images of a folder: at native size when all are squares of one size, else resized to that of the run.

    Raises:
        DataError: There is no such folder, it does not hold one folder per class, or images cannot be read.
    """
    path = request.name.removeprefix(FOLDER_PREFIX)
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise DataError(
            f"There is no folder {path!r}: give `{FOLDER_PREFIX}/path`, where the path holds one folder per class."
        )
    layout = read_layout(root)
    size = _common_size(root, layout.files)
    raw = _load_images(root, layout, size, request)
    if raw.test is None and raw.validation is not None:  # they are the held-out test set, as for Tiny ImageNet
        raw = replace(raw, test=raw.validation, validation=None)
    side = request.image_size
    method = request.config.resize
    resized = () if size else (f"{root}: images are resized to {side} x {side} pixels by `data.resize` {method}.",)
    return replace(raw, warnings=(*layout.warnings, *resized, *raw.warnings))


def _load_images(root: Path, layout: FolderLayout, size: tuple[int, int] | None, request: LoadRequest) -> RawDataset:
    height, width = size or (request.image_size, request.image_size)
    shape = (height, width, 3)
    skip, resize = request.config.skip_corrupt, None if size else request.config.resize

    def read(name: str) -> bytes:
        return (root / name).read_bytes()

    def build(folder: Path) -> decoded_cache.DatasetMetadata:
        writer = PoolWriter(folder, request.progress, skip)
        for split, members in layout.members.items():
            labels, names = zip(*members, strict=True)
            writer.write_encoded(split, EncodedImages(names, np.array(labels, np.int32), read, shape, resize))
        return decoded_cache.DatasetMetadata(layout.classes, warnings=writer.corrupt_warnings(), resize=resize or "")

    files = scan.hash_listing(layout.files)
    key = {"data": "folder", "path": str(root.resolve()), "files": files, "shape": shape, "skip_corrupt": skip}
    return decoded_cache.load_or_build({**key, "resize": resize}, str(root), build)


def _common_size(root: Path, files: tuple[scan.FileEntry, ...]) -> tuple[int, int] | None:
    """Return height and width if all readable images are squares of one size, else None."""

    def read_sizes() -> list[tuple[int, int]]:
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            return sorted({size for size in executor.map(lambda file: _read_size(root / file.name), files) if size})

    key = {"sizes": str(root.resolve()), "files": scan.hash_listing(files)}
    sizes = decoded_cache.compute_once(key, read_sizes)
    return tuple(sizes[0]) if len(sizes) == 1 and sizes[0][0] == sizes[0][1] else None


def _read_size(path: Path) -> tuple[int, int] | None:
    try:
        with path.open("rb") as file:
            return images.read_size(file)
    except (OSError, ValueError):
        return None  # decoding reports it by name
