"""Find the image files among paths that a user gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from tinybench.core.errors import DataError
from tinybench.data import images, scan

_MAX_PATHS = 3  # in an error message


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Return the given files, and the images in the given folders at any depth, in order.

    Raises:
        DataError: A path does not exist, or there is no image at all.
    """
    files = [file for path in paths for file in _list_images(path)]
    if not files:
        suffixes = ", ".join(images.SUFFIXES)
        raise DataError(f"There is no image in {', '.join(map(str, paths[:_MAX_PATHS]))}: expected {suffixes} files.")
    return files


def describe_skipped_files(paths: Sequence[Path]) -> str:
    """Return a sentence on the images in the given folders that `find_images` skips, or an empty text."""
    names = (PurePath(file.name) for path in paths if path.is_dir() for file in scan.list_files(path))
    skipped = Counter(name.suffix.lower() for name in names if name.suffix.lower() in images.UNSUPPORTED_SUFFIXES)
    counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(skipped.items()))
    return f"{counts} file(s) are left out: only JPEG, PNG, BMP and WebP are read." if counts else ""


def _list_images(path: Path) -> Iterator[Path]:
    """Yield a file, or the images in a folder."""
    if path.is_dir():
        files = (path / file.name for file in scan.list_files(path))
        yield from (file for file in files if file.suffix.lower() in images.SUFFIXES)
    elif path.exists():
        yield path
    else:
        raise DataError(f"There is no {path}.")
