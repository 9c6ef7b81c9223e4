"""A folder of backups: objects that all of them share, and a folder for each, which appears when it is complete.

DEST/objects/SHA256          content of files, each once
DEST/TIME/manifest.json      what the backup holds; manifest.json.age if it is encrypted
DEST/TIME/index.json         what can be known without reading the manifest
DEST/TIME/checksums.txt      their SHA-256, for `sha256sum --check`
DEST/TIME/proof.json         when and how it was restored and compared, if it was
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tinybench.core import atomic
from tinybench.core.errors import ConfigError, DataError
from tinybench.service.backup.encryption import Encryption, Identity
from tinybench.service.backup.manifest import Index, Manifest
from tinybench.service.backup.new_folders import NewFolders
from tinybench.service.backup.object_store import PART_SUFFIX, open_private, require_identity

_TIME_FORMAT = "%Y-%m-%dT%H%M%SZ"
_TIME_PATTERN = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z")
_INCOMPLETE = "incomplete-"
_CHECKSUMS, _INDEX, _MANIFEST, _PROOF = "checksums.txt", "index.json", "manifest.json", "proof.json"
_LOCK = ".lock"
_LOCK_SECONDS = 10


@dataclass(frozen=True)
class Backup:
    """A complete backup.

    Attributes:
        folder: Its folder.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The time at which it began, in UTC; the name by which it is restored."""
        return self.folder.name

    @property
    def time(self) -> datetime:
        """The time at which it began."""
        return datetime.strptime(self.name, _TIME_FORMAT).replace(tzinfo=UTC)

    @cached_property
    def index(self) -> Index:
        """The summary of the backup, which is read without its manifest.

        Raises:
            DataError: The index is damaged.
        """
        return Index.from_json(self._read_checked(_INDEX).decode("utf-8"))

    @property
    def is_encrypted(self) -> bool:
        """Whether an identity is needed to restore the backup."""
        return (self.folder / f"{_MANIFEST}.age").exists()

    def read_manifest(self, identity: Identity | None) -> Manifest:
        """Return its manifest.

        Raises:
            DataError: It is damaged, or a newer tinybench wrote it.
            ConfigError: It was encrypted to others, or there is no identity.
        """
        name = f"{_MANIFEST}.age" if self.is_encrypted else _MANIFEST
        data = self._read_checked(name)
        if self.is_encrypted:
            decrypted = BytesIO()
            require_identity(identity).decrypt(BytesIO(data), decrypted, f"the backup {self.name}")
            data = decrypted.getvalue()
        return Manifest.from_json(data.decode("utf-8"))

    def write_proof(self, proof: dict[str, Any]) -> None:
        """Write into the backup that it was restored and compared.

        Raises:
            OSError: The folder cannot be written to.
        """
        proof = proof | {"checksums_sha256": self._hash_checksums()}
        atomic.write_text(self.folder / _PROOF, json.dumps(proof, indent=1))

    def read_proof(self) -> dict[str, Any] | None:
        """Return what `write_proof` wrote; None if it was never proved, or has been changed since."""
        try:
            proof: dict[str, Any] = json.loads((self.folder / _PROOF).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return proof if proof.get("checksums_sha256") == self._hash_checksums() else None

    def _hash_checksums(self) -> str:
        return hashlib.sha256((self.folder / _CHECKSUMS).read_bytes()).hexdigest()

    def _read_checked(self, name: str) -> bytes:
        try:
            lines = (self.folder / _CHECKSUMS).read_text("utf-8").splitlines()
            data = (self.folder / name).read_bytes()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.folder / name} cannot be read: restore another backup.") from error
        if f"{hashlib.sha256(data).hexdigest()}  {name}" not in lines:
            raise DataError(f"{self.folder / name} is damaged: it has another SHA-256. Restore another backup.")
        return data


class BackupFolder:
    """A folder of backups.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects = path / "objects"

    def create(self) -> None:
        """Create the folder unless it exists.

        Raises:
            ConfigError: There is a folder of something else, or it cannot be created.
        """
        try:
            if self.path.is_dir() and any(self.path.iterdir()) and not self.objects.is_dir():
                raise ConfigError(
                    f"Invalid value for `DEST`: expected a new folder or one with backups, got {self.path} with other "
                    "files."
                )
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.objects.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"Invalid value for `DEST`: cannot create {self.path}: {error.strerror}.") from error

    def require(self) -> None:
        """Raise unless this is a folder of backups.

        Raises:
            ConfigError: It is not.
        """
        if not self.objects.is_dir():
            raise ConfigError(f"Expected a folder with backups, got {self.path}: it has no folder `objects`.")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Create the folder unless it exists, and lock it; if the first backup is refused, nothing of it is left.

        Raises:
            ConfigError: There is a folder of something else, or another process is at work there.
        """
        folders, has_objects = NewFolders(self.path.absolute()), self.objects.exists()
        self.create()
        with self.locked():
            try:
                yield
            except BaseException:
                if not has_objects and not self.list_backups():
                    shutil.rmtree(self.objects, ignore_errors=True)
                    (self.path / _LOCK).unlink(missing_ok=True)
                    folders.remove()
                raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other backups, and pruning, away from the folder.

        Raises:
            ConfigError: Another process is at work there.
        """
        lock = FileLock(self.path / _LOCK, timeout=_LOCK_SECONDS)
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(f"Another backup is being written to {self.path}: wait until it has ended.") from None
        try:
            yield
        finally:
            lock.release()

    def list_backups(self) -> list[Backup]:
        """Return the complete backups, the oldest first."""
        folders = [path for path in self.path.iterdir() if _TIME_PATTERN.fullmatch(path.name) and path.is_dir()]
        return [Backup(path) for path in sorted(folders)]

    def get(self, name: str | None) -> Backup:
        """Return a backup by its name; the newest if None.

        Raises:
            ConfigError: There is none.
        """
        backups = self.list_backups()
        if not backups:
            raise ConfigError(f"{self.path} holds no complete backup.")
        if name is None:
            return backups[-1]
        for backup in backups:
            if backup.name == name:
                return backup
        names = ", ".join(backup.name for backup in backups[-5:])
        raise ConfigError(f"Invalid value for `--backup`: expected a backup such as {names}, got {name!r}.")

    def remove_leftovers(self) -> None:
        """Remove what backups left that were killed; the folder must be locked."""
        for path in self.path.glob(f"{_INCOMPLETE}*"):
            shutil.rmtree(path)
        for path in self.objects.glob(f"*{PART_SUFFIX}"):
            path.unlink()

    @contextmanager
    def new_backup(self) -> Iterator[tuple[str, Path]]:
        """Yield the name of a new backup and a folder for its files, which is removed if the block raises.

        When the block ends the folder gets the backup's name, after all files have reached the disk.
        """
        name = self._new_name()
        staging = self.path / f"{_INCOMPLETE}{name}"
        staging.mkdir(mode=0o700)
        try:
            yield name, staging
            os.sync()  # objects and manifest first: the name must not outlive a power cut that they do not
            staging.rename(self.path / name)
            _sync_folder(self.path)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _new_name(self) -> str:
        while True:
            name = datetime.now(UTC).strftime(_TIME_FORMAT)
            if not (self.path / name).exists():
                return name
            time.sleep(0.1)


def write_description(staging: Path, manifest: Manifest, index: Index, encryption: Encryption | None) -> None:
    """Write manifest and index of a new backup with their checksums."""
    files = {_MANIFEST: manifest.to_json().encode(), _INDEX: index.to_json().encode()}
    if encryption is not None:
        encrypted = BytesIO()
        encryption.encrypt(BytesIO(files.pop(_MANIFEST)), encrypted)
        files[f"{_MANIFEST}.age"] = encrypted.getvalue()
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    for name, data in (files | {_CHECKSUMS: "".join(lines).encode()}).items():
        with open_private(staging / name) as file:
            file.write(data)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
