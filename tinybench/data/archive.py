"""Read the files of a folder, a .zip or a .tar.gz by name, without unpacking anything onto the disk.

Reading members directly from the archive is faster than unpacking 100,000 small files, and nothing can be
written outside a target folder. Suspicious members are refused nevertheless: an archive that holds them
is not the one that was expected.
"""

from __future__ import annotations

import lzma
import re
import tarfile
import threading
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from tinybench.core.errors import DataError
from tinybench.data import scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MEMBER_LIMIT = 2 * 2**30
TOTAL_LIMIT = 32 * 2**30

# What the libraries raise on bytes that are not a whole archive; RuntimeError for an encrypted member
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)


class Tree(Protocol):
    """A set of files by name; `read` may be called from several threads."""

    @property
    def names(self) -> list[str]:
        """Return the relative names of the files, with forward slashes, sorted."""

    def read(self, name: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            KeyError: There is no such file.
            DataError: The archive is damaged.
        """


class FolderTree:
    """The files under a folder, without what systems leave there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = [file.name for file in scan.list_files(root)]

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises KeyError where there is none, and DataError for one that is too large."""
        try:
            with (self.root / name).open("rb") as file:
                content = file.read(MEMBER_LIMIT + 1)
        except FileNotFoundError:
            raise KeyError(name) from None
        if len(content) > MEMBER_LIMIT:
            raise DataError(f"{self.root / name} has more than {MEMBER_LIMIT:,} bytes: it is not a file of a data set.")
        return content


class ZipTree:
    """The members of a .zip."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path
        total = 0
        for info in archive.infolist():
            total += info.file_size
            _check_member(path, info.filename, info.file_size, total)
        self.names = _sort_names(info.filename for info in archive.infolist() if not info.is_dir())

    def read(self, name: str) -> bytes:
        """Return the bytes of a member; raises KeyError where there is none."""
        info = self._archive.getinfo(name)
        with _reported_as_data_error(self._path), self._archive.open(info) as member:
            # The size limits the output of the decompressor where the header is false
            return member.read(info.file_size + 1)


class TarTree:
    """The members of a .tar, compressed or not."""

    def __init__(self, archive: tarfile.TarFile, path: Path) -> None:
        self._archive, self._path, self._lock = archive, path, threading.Lock()
        self._members: dict[str, tarfile.TarInfo] = {}
        total = 0
        for member in archive:
            total += member.size
            _check_member(path, member.name, member.size, total)
            if not (member.isreg() or member.isdir()):
                raise _refusal(path, member.name, "is a link or a device")
            if member.isreg():
                self._members[member.name.removeprefix("./")] = member
        self.names = _sort_names(self._members)

    def read(self, name: str) -> bytes:
        """Return the bytes of a member; raises KeyError where there is none."""
        with _reported_as_data_error(self._path), self._lock:
            stream = self._archive.extractfile(self._members[name])
            assert stream is not None
            return stream.read()


class SubTree:
    """The files below one folder of another tree."""

    def __init__(self, tree: Tree, top: str) -> None:
        self._tree, self._prefix = tree, f"{top}/"
        self.names = [name.removeprefix(self._prefix) for name in tree.names if name.startswith(self._prefix)]

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; raises KeyError where there is none."""
        return self._tree.read(self._prefix + name)


def is_archive(path: Path) -> bool:
    """Return whether a file is a .zip, or a .tar (compressed or not), by its content."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except _DAMAGE:
        return False


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """Open a folder or an archive for reading: a .zip, or a .tar (compressed or not).

    Raises:
        DataError: Not an archive, a damaged one, or one with members that are refused.
    """
    if path.is_dir():
        yield FolderTree(path)
    elif zipfile.is_zipfile(path):
        with _reported_as_data_error(path):
            zip_file = zipfile.ZipFile(path)
        with zip_file:
            yield ZipTree(zip_file, path)
    else:
        with _reported_as_data_error(path):
            tar_file = tarfile.open(path)  # noqa: SIM115 (closed below, without translating errors of the caller)
        with tar_file:
            with _reported_as_data_error(path):
                tree = TarTree(tar_file, path)
            yield tree


def _sort_names(names: Iterable[str]) -> list[str]:
    """Return the names of members, sorted, without what systems leave in folders."""
    return sorted(name for name in names if not any(map(scan.is_left_by_system, name.split("/"))))


def _check_member(path: Path, name: str, size: int, total: int) -> None:
    portable = name.replace("\\", "/")
    if ".." in PurePosixPath(portable).parts:
        raise _refusal(path, name, "leads out of the archive")
    if portable.startswith("/") or re.match(r"[A-Za-z]:", portable):
        raise _refusal(path, name, "has an absolute name")
    if size > MEMBER_LIMIT or total > TOTAL_LIMIT:
        raise _refusal(path, name, f"unpacks to more than {(MEMBER_LIMIT, TOTAL_LIMIT)[total > TOTAL_LIMIT]:,} bytes")


def _refusal(path: Path, name: str, reason: str) -> DataError:
    return DataError(
        f"Refused {path}: its member {name!r} {reason}. Delete the archive and fetch it from a source you trust."
    )


@contextmanager
def _reported_as_data_error(path: Path) -> Iterator[None]:
    """Raise DataError for anything that a library raises on a damaged archive."""
    try:
        yield
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path} is damaged, cut short or not an archive ({reason}): delete it and fetch it again."
        ) from None
