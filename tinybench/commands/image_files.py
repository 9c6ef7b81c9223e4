"""Find the image files among paths that a user gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tinybench.core.errors import DataError
from tinybench.data import file_headers, images, scan

_MAX_PATHS = 3  # in an error message


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return the given files, and the images in the given folders at any depth, in order.

    Raises:
        DataError: A path does not exist, or there is no image at all.
    """
    if not paths:
        raise DataError("No image is given: give image files, or folders of them.")
    files = [file for path in paths for file in _list_images(path)]
    if not files:
        folders = ", ".join(map(str, paths[:_MAX_PATHS]))
        raise DataError(f"There is no image in {folders}: expected {images.FORMAT_NAMES} files.")
    return files


def describe_skipped_files(paths: Sequence[Path]) -> str:
    """Return a sentence on the images in the given folders that `find_images` skips, or an empty text."""
    names = [
        file.name
        for path in paths
        if path.is_dir()
        for file in scan.list_files(path)
        if not file_headers.is_image(path / file.name)
    ]
    counts = file_headers.describe_others(names)
    return f"{counts} file(s) are left out: they are not {images.FORMAT_NAMES} images." if names else ""


def _list_images(path: Path) -> Iterator[Path]:
    """Yield a file, or the images in a folder."""
    if path.is_dir():
        yield from filter(file_headers.is_image, (path / file.name for file in scan.list_files(path)))
    elif path.exists():
        yield path
    else:
        raise DataError(f"There is no {path}.")
