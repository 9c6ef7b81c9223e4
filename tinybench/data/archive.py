"""One view of a folder, a .zip and a .tar.gz: names and bytes. Nothing is ever unpacked onto the disk.

Reading members straight from the archive is faster than unpacking 100,000 small files, and nothing can be
written outside a target folder. Suspicious members are refused all the same: an archive that holds them
is not the one that was asked for.
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
    from collections.abc import Iterator

MEMBER_LIMIT = 2 * 2**30
TOTAL_LIMIT = 32 * 2**30

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError)


class Tree(Protocol):
    """Files by name; `read` may be called from several threads."""

    @property
    def names(self) -> list[str]:
        """Relative names with forward slashes, files only, sorted."""

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            KeyError: there is no such file.
            DataError: the archive is damaged.
        """


class FolderTree:
    """The files under a directory, hidden ones left out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = [file.name for file in scan.files(root)]

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None


class ZipTree:
    """The members of a .zip."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path
        total = 0
        for info in archive.infolist():
            total += info.file_size
            _check_member(path, info.filename, info.file_size, total)
        self.names = sorted(info.filename for info in archive.infolist() if not info.is_dir())

    def read(self, name: str) -> bytes:
        """The bytes of one member."""
        info = self._archive.getinfo(name)
        try:
            with self._archive.open(info) as member:
                # An explicit size bounds what a lying header can make the decompressor give.
                return member.read(info.file_size + 1)
        except (*_DAMAGE, RuntimeError) as error:
            raise _damaged(self._path, error) from None


class TarTree:
    """The members of a .tar, .tar.gz or the like."""

    def __init__(self, archive: tarfile.TarFile, path: Path) -> None:
        self._archive, self._path, self._lock = archive, path, threading.Lock()
        self._members: dict[str, tarfile.TarInfo] = {}
        total = 0
        for member in archive:
            total += member.size
            _check_member(path, member.name, member.size, total)
            if not (member.isreg() or member.isdir()):
                raise _refused(path, member.name, "is a link or a device")
            if member.isreg():
                self._members[member.name.removeprefix("./")] = member
        self.names = sorted(self._members)

    def read(self, name: str) -> bytes:
        """The bytes of one member."""
        try:
            with self._lock:
                stream = self._archive.extractfile(self._members[name])
                assert stream is not None
                return stream.read()
        except _DAMAGE as error:
            raise _damaged(self._path, error) from None


class SubTree:
    """What lies below one folder of another tree."""

    def __init__(self, tree: Tree, top: str) -> None:
        self._tree, self._prefix = tree, f"{top}/"
        self.names = [name.removeprefix(self._prefix) for name in tree.names if name.startswith(self._prefix)]

    def read(self, name: str) -> bytes:
        """The bytes of one file."""
        return self._tree.read(self._prefix + name)


@contextmanager
def open_tree(path: Path, top: str = "") -> Iterator[Tree]:
    """Open a directory or an archive.

    Args:
        path: A directory, a .zip, or a .tar (compressed or not).
        top: A folder that the archive wraps around its content; names are given without it where it is there.

    Raises:
        DataError: not an archive, a damaged one, or one with members that have no business in it.
    """
    with _open(path) as tree:
        wrapped = bool(top) and any(name.startswith(f"{top}/") for name in tree.names)
        yield SubTree(tree, top) if wrapped else tree


@contextmanager
def _open(path: Path) -> Iterator[Tree]:
    if path.is_dir():
        yield FolderTree(path)
    elif zipfile.is_zipfile(path):
        with _zip(path) as archive:
            yield ZipTree(archive, path)
    else:
        with _tar(path) as archive:
            yield _tar_tree(archive, path)


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _tar(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path)
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _tar_tree(archive: tarfile.TarFile, path: Path) -> TarTree:
    try:
        return TarTree(archive, path)
    except _DAMAGE as error:
        raise _damaged(path, error) from None


def _check_member(path: Path, name: str, size: int, total: int) -> None:
    portable = name.replace("\\", "/")
    if ".." in PurePosixPath(portable).parts:
        raise _refused(path, name, "leads out of the archive")
    if portable.startswith("/") or re.match(r"[A-Za-z]:", portable):
        raise _refused(path, name, "has an absolute name")
    if size > MEMBER_LIMIT or total > TOTAL_LIMIT:
        raise _refused(path, name, f"unpacks to more than {(MEMBER_LIMIT, TOTAL_LIMIT)[total > TOTAL_LIMIT]:,} bytes")


def _refused(path: Path, name: str, why: str) -> DataError:
    return DataError(
        f"Refused {path}: its member {name!r} {why}. Delete the archive and fetch it from a source you trust."
    )


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(f"{path} is damaged, cut short or no archive ({reason}): delete it and fetch it again.")
