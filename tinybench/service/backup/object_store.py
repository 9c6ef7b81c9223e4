"""Keep files by the SHA-256 of their content, each once for all backups, and check them when they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tinybench.core.errors import ConfigError, DataError
from tinybench.service.backup.encryption import Encryption, Identity

PART_SUFFIX = ".part"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    """A file of a backup.

    Attributes:
        sha256: The SHA-256 of its content.
        size: The bytes of its content.
        name: Its name among the objects.
        stored_size: The bytes it takes there, which differ if it is encrypted.
    """

    sha256: str
    size: int
    name: str
    stored_size: int


class HashingReader:
    """Hashes what is read from a file.

    Args:
        file: The file.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        data: bytes = self._file.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data

    @property
    def sha256(self) -> str:
        """The hash of what was read so far."""
        return self._hash.hexdigest()


class HashingWriter:
    """Hashes what is written to a file.

    Args:
        file: The file; None only hashes.
    """

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write bytes."""
        self._hash.update(data)
        return len(data) if self._file is None else self._file.write(data)

    def flush(self) -> None:
        """Do nothing: the file is flushed when it is closed."""

    @property
    def sha256(self) -> str:
        """The hash of what was written so far."""
        return self._hash.hexdigest()


class ObjectWriter:
    """Adds files to the objects of a backup folder.

    Args:
        folder: The folder of the objects.
        encryption: Encrypts them; None for files that everybody with access to the folder can read.
        known_sizes: Stored sizes of the objects of complete backups by name. Only these are used again: another
            object may be the rest of a backup that was cut off when the machine lost power.
    """

    def __init__(self, folder: Path, encryption: Encryption | None, known_sizes: Mapping[str, int]) -> None:
        self._folder = folder
        self._encryption = encryption
        self._known_sizes = known_sizes
        self.added_bytes = 0
        self._added: set[str] = set()

    def add(self, file: Any) -> StoredObject:
        """Store what can be read from a file, unless an earlier backup has the same content.

        Raises:
            OSError: The file cannot be read, or the disk is full.
        """
        part_file = self._folder / f"{os.getpid()}{PART_SUFFIX}"
        try:
            with open_private(part_file) as target:
                reader = HashingReader(file)
                if self._encryption is None:
                    copy(reader, target)
                else:
                    self._encryption.encrypt(reader, target)
            stored = self.find(reader.sha256, reader.size)
            if stored is None:
                stored = self._keep(part_file, reader)
            return stored
        finally:
            part_file.unlink(missing_ok=True)

    def find(self, sha256: str, size: int) -> StoredObject | None:
        """Return an object that is there already; None if it is not, or has another size than it had."""
        name = self._name(sha256)
        with suppress(OSError):
            stored_size = (self._folder / name).stat().st_size
            if stored_size == self._known_sizes.get(name) or name in self._added:
                return StoredObject(sha256, size, name, stored_size)
        return None

    def _keep(self, part_file: Path, reader: HashingReader) -> StoredObject:
        name = self._name(reader.sha256)
        stored_size = part_file.stat().st_size
        part_file.replace(self._folder / name)
        self._added.add(name)
        self.added_bytes += stored_size
        return StoredObject(reader.sha256, reader.size, name, stored_size)

    def _name(self, sha256: str) -> str:
        return sha256 + (self._encryption.suffix if self._encryption else "")


class ObjectReader:
    """Reads files from the objects of a backup folder, and checks them.

    Args:
        folder: The folder of the objects.
        identity: Decrypts them; None for a backup that is not encrypted.
    """

    def __init__(self, folder: Path, identity: Identity | None) -> None:
        self._folder = folder
        self._identity = identity

    def copy_to(self, target: BinaryIO | None, name: str, sha256: str, label: str) -> None:
        """Copy an object.

        Args:
            target: The file to write to; None only to check the object.
            name: The object's name.
            sha256: The SHA-256 that its content must have.
            label: The file that it is, for messages.

        Raises:
            DataError: It is missing or damaged.
            ConfigError: It was encrypted to others, or there is no identity.
        """
        path, subject = self._folder / name, f"The object {name} of {label}"
        writer = HashingWriter(target)
        try:
            with path.open("rb") as source:
                if not name.endswith(".age"):
                    copy(source, writer)
                else:
                    require_identity(self._identity).decrypt(source, writer, subject)
        except FileNotFoundError as error:
            raise DataError(f"{subject} is missing. Restore another backup.") from error
        if writer.sha256 != sha256:
            raise DataError(f"{subject} is damaged: its content has another SHA-256. Restore another backup.")


def require_identity(identity: Identity | None) -> Identity:
    """Return an identity.

    Raises:
        ConfigError: There is none.
    """
    if identity is None:
        raise ConfigError("This backup is encrypted: name the file with the secret key by --identity.")
    return identity


def open_private(path: Path) -> BinaryIO:
    """Open a new file for writing that only this user can read: backups hold the hashes of passwords."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def copy(source: Any, target: Any) -> None:
    """Copy the rest of a file."""
    while data := source.read(_CHUNK_BYTES):
        target.write(data)
