"""List the files under a folder, fast enough for a hundred thousand of them."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinybench.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


# What systems leave in folders of images, besides hidden files: thumbnails, bins and settings; in lower case
_LEFT_BY_SYSTEMS = frozenset(
    {"@eadir", "#recycle", "__macosx", "$recycle.bin", "system volume information", "recycler", "lost+found"}
    | {"@recycle", "@tmp", "found.000"}
    | {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)


def is_left_by_system(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or what systems leave in folders, such as `@eaDir`.

    Every reader of folders and archives skips these, so that copies of images in them are never counted.
    """
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names as people do: digits by their value, so that "2" comes before "10"."""
    parts = re.split(r"([0-9]+)", name)
    key = [(0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts) if part]
    return (*key, (-1, 0, name))  # "02" and "2" differ, and so does their order


@dataclass(frozen=True)
class FileEntry:
    """The name, size and time of a file under a folder.

    Attributes:
        name: Relative to the folder, with forward slashes.
        size: In bytes.
        mtime: In nanoseconds.
    """

    name: str
    size: int
    mtime: int


def list_files(root: Path) -> list[FileEntry]:
    """Return all files under a folder, sorted by name, without what systems leave (see `is_left_by_system`).

    Links are followed, but not to a folder that is being listed already.

    Raises:
        DataError: A folder cannot be read.
    """
    try:
        return sorted(_walk(str(root), "", frozenset()), key=lambda file: file.name)
    except OSError as error:
        raise DataError(f"Cannot read {error.filename} ({error.strerror}): check its permissions.") from None


def hash_listing(files: Iterable[FileEntry]) -> str:
    """Return 64 hex digits over names, sizes and times, which stay the same while no file is changed."""
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(f"{file.name}\0{file.size}\0{file.mtime}\n".encode("utf-8", "surrogateescape"))
    return hasher.hexdigest()


def _walk(folder: str, prefix: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[FileEntry]:
    status = os.stat(folder)  # noqa: PTH116 (text is faster than paths here)
    inode = (status.st_dev, status.st_ino)
    if inode in ancestors:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_left_by_system(entry.name):
                continue
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/", ancestors | {inode})
            elif entry.is_file() or entry.is_symlink():
                # A dangling link is listed as well, so that it is reported when it is read
                file = entry.stat(follow_symlinks=entry.is_file())
                yield FileEntry(prefix + entry.name, file.st_size, file.st_mtime_ns)
