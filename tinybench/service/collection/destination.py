"""The destination of artifacts, as far as it is needed to find and remove folders: a local folder, or S3."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tinybench.core import atomic
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.service.collection.layout import plain_path, proxied_path


@dataclass(frozen=True)
class StoredFile:
    """A file in the destination.

    Attributes:
        path: Relative to the destination; of an empty folder, with a slash at the end.
        size: Bytes.
        modified: When it was last written, in seconds since 1970.
    """

    path: str
    size: int
    modified: float


@dataclass(frozen=True)
class PartialUpload(StoredFile):
    """A file that was sent in part.

    Attributes:
        upload_id: The id that S3 gave the upload; empty for a local file.
    """

    upload_id: str = ""


class Destination(ABC):
    """The destination of artifacts.

    Attributes:
        uri: Its address, for people.
    """

    uri: str

    @abstractmethod
    def files(self) -> Iterator[StoredFile]:
        """Yield every file; links are not followed.

        Raises:
            TrackingError: The destination cannot be read.
        """

    @abstractmethod
    def uploads(self) -> Iterator[PartialUpload]:
        """Yield the uploads that are no files yet."""

    @abstractmethod
    def relative_path(self, uri: str) -> str | None:
        """Return the path in the destination of an address of artifacts; None if it is elsewhere."""

    @abstractmethod
    def remove_folder(self, path: str) -> None:
        """Remove a folder with all that is in it; it may be gone already.

        Raises:
            OSError: Not all of it can be removed.
        """

    @abstractmethod
    def remove_upload(self, upload: PartialUpload) -> None:
        """Remove a file that was sent in part; it may be gone already.

        Raises:
            OSError: It cannot be removed.
        """

    @abstractmethod
    def remove_empty_folders(self, path: str) -> None:
        """Remove a folder and the folders in it unless there is a file in them."""

    @abstractmethod
    def read_text(self, name: str) -> str | None:
        """Return the text of a file at the top of the destination; None if there is none."""

    @abstractmethod
    def write_text(self, name: str, text: str) -> None:
        """Write a file at the top of the destination."""


class LocalFolder(Destination):
    """A destination on a disk.

    Args:
        folder: The folder.

    Raises:
        ConfigError: There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ConfigError(
                f"Invalid value for `--artifacts-destination`: expected the folder that the server writes to, got "
                f"{str(folder)!r}, which does not exist."
            )
        self._root = folder.resolve()
        self.uri = str(self._root)

    def files(self) -> Iterator[StoredFile]:
        """Yield every file; a link counts as a small file, wherever it leads."""
        try:
            yield from self._walk("")
        except OSError as error:
            raise TrackingError(f"Cannot read {self.uri}: {error}. Run this as the user of the server.") from error

    def _walk(self, path: str) -> Iterator[StoredFile]:
        is_empty = True
        try:
            entries = sorted(os.scandir(self._root / path), key=lambda entry: entry.name)
        except FileNotFoundError:
            return  # removed meanwhile
        for entry in entries:
            is_empty = False
            inner = f"{path}/{entry.name}" if path else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(inner)
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                yield StoredFile(inner, status.st_size, status.st_mtime)
        if is_empty and path:
            with suppress(FileNotFoundError):
                yield StoredFile(f"{path}/", 0, (self._root / path).lstat().st_mtime)

    def uploads(self) -> Iterator[PartialUpload]:
        """Yield nothing: on a disk, what was sent in part is a file."""
        return iter(())

    def relative_path(self, uri: str) -> str | None:
        """Return the path in the destination of an address of artifacts; None if it is elsewhere."""
        proxied = proxied_path(uri)
        path = local_path(uri)
        if proxied is not None or path is None:
            return proxied
        with suppress(ValueError):
            return plain_path(path.resolve().relative_to(self._root).as_posix())
        return None

    def remove_folder(self, path: str) -> None:
        """Remove a folder with all that is in it; of a link, only the link."""
        with suppress(FileNotFoundError), self._open_parent(path) as (parent, name):
            if stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
                os.unlink(name, dir_fd=parent)
            else:
                shutil.rmtree(name, dir_fd=parent)

    def remove_upload(self, upload: PartialUpload) -> None:
        """Remove a file that was sent in part; it may be gone already."""
        with suppress(FileNotFoundError), self._open_parent(upload.path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def remove_empty_folders(self, path: str) -> None:
        """Remove a folder and the folders in it unless there is a file in them."""
        with suppress(OSError), self._open_parent(path) as (parent, name):
            for _, folders, _, folder in os.fwalk(name, topdown=False, dir_fd=parent):
                for inner in folders:
                    with suppress(OSError):  # it is not empty, also by now
                        os.rmdir(inner, dir_fd=folder)
            os.rmdir(name, dir_fd=parent)

    def read_text(self, name: str) -> str | None:
        """Return the text of a file at the top of the destination; None if there is none."""
        try:
            return (self._root / name).read_text("utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def write_text(self, name: str, text: str) -> None:
        """Write a file at the top of the destination."""
        atomic.write_text(self._root / name, text)

    @contextmanager
    def _open_parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield the open folder that a path is in, and its last part; no part of the path may be a link.

        Raises:
            OSError: There is no such folder, or a part of the path is a link, empty, `.` or `..`.
        """
        *parents, name = path.split("/")
        if not {"", ".", ".."}.isdisjoint([*parents, name]):
            raise OSError(errno.EINVAL, "a part of the path is no name", path)
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in parents:
                inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder, name
        finally:
            os.close(folder)


def local_path(uri: str) -> Path | None:
    """Return the path of an address on this machine's disks; None for another address."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if parts.scheme else Path(uri)
