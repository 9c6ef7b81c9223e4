"""List, read and write artifacts: those in a folder, or in a bucket of S3."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Protocol

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.service.backup.artifact_root import local_path
from tinybench.service.backup.new_folders import NewFolders

UNFINISHED = ".tinybench-restore-unfinished"
"""The name of a file among the artifacts of a store whose restore has not ended."""


@dataclass(frozen=True)
class ArtifactFile:
    """An artifact as it is listed.

    Attributes:
        path: Its path below the folder or prefix of all artifacts, with `/`.
        size: Its bytes.
        version: Changes when its content does: the time of its last change, or its ETag.
        modified_ns: When it was changed last, in nanoseconds since 1970.
    """

    path: str
    size: int
    version: str
    modified_ns: int


class ArtifactStore(Protocol):
    """The artifacts of a tracking store."""

    def require_exists(self) -> None:
        """Raise unless the artifacts can be read."""

    def list_files(self) -> Iterator[ArtifactFile]:
        """Yield all artifacts."""

    def look_up(self, path: str) -> ArtifactFile | None:
        """Return an artifact as it is now; None if it is gone."""

    def open(self, path: str) -> Any:
        """Open an artifact for reading.

        Raises:
            FileNotFoundError: It is gone.
        """

    def write(self, path: str, fill: Callable[[BinaryIO], None], modified_ns: int | None = None) -> None:
        """Write an artifact.

        Args:
            path: Its path below the artifacts.
            fill: Writes its content to a file.
            modified_ns: When it was changed last; None for now.
        """

    def remove(self, path: str) -> None:
        """Remove an artifact."""

    def remove_new_folders(self) -> None:
        """Remove the folders that were made for the artifacts, if they are empty."""


def open_store(destination: str) -> ArtifactStore:
    """Return the artifacts of a destination, as `--artifacts-destination` takes it.

    Raises:
        ConfigError: It is neither a folder nor an `s3://` address.
    """
    if destination.startswith("s3://"):
        return S3Artifacts(destination)
    if "://" in destination and not destination.startswith("file://"):
        raise ConfigError(
            "Invalid value for `--artifacts-destination`: expected a folder or s3://BUCKET/PATH, "
            f"got {redact(destination)!r}. Back up other stores by their own tools."
        )
    return FolderArtifacts(local_path(destination).absolute())


class FolderArtifacts:
    """A folder of artifacts.

    Args:
        folder: The folder.

    Attributes:
        folder: The same.
        links: Symbolic links that were left out when files were listed, since they may lead anywhere.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._new_folders = NewFolders(folder)
        self.links: list[str] = []

    def require_exists(self) -> None:
        """Raise unless the folder exists.

        Raises:
            ConfigError: It does not.
        """
        if not self.folder.is_dir():
            raise ConfigError(
                f"Invalid value for `--artifacts-destination`: there is no folder {self.folder}. Name the server's "
                "folder; if no run has logged a file yet, create it."
            )

    def list_files(self) -> Iterator[ArtifactFile]:
        """Yield all regular files."""
        for folder, names, files in os.walk(self.folder, onerror=_raise_unreadable):
            names.sort()
            for name in sorted(files):
                path = Path(folder, name)
                relative = path.relative_to(self.folder).as_posix()
                if path.is_symlink():
                    self.links.append(relative)
                elif path.is_file() and relative != UNFINISHED:
                    with suppress(FileNotFoundError):
                        yield self._describe(path, relative)
            linked = (Path(folder, name) for name in names if Path(folder, name).is_symlink())
            self.links += [path.relative_to(self.folder).as_posix() for path in linked]

    def look_up(self, path: str) -> ArtifactFile | None:
        """Return a file as it is now; None if it is gone."""
        try:
            return self._describe(self.folder / path, path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, path: str) -> BinaryIO:
        """Open a file."""
        return (self.folder / path).open("rb")

    def write(self, path: str, fill: Callable[[BinaryIO], None], modified_ns: int | None = None) -> None:
        """Write a file with the time of its last change."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            fill(file)
        if modified_ns is not None:
            os.utime(target, ns=(modified_ns, modified_ns))

    def remove(self, path: str) -> None:
        """Remove a file, and the folders that it leaves empty."""
        target = self.folder / path
        target.unlink(missing_ok=True)
        for folder in target.parents:
            if folder == self.folder:
                return
            with suppress(OSError):
                folder.rmdir()

    def remove_new_folders(self) -> None:
        """Remove the folder if it was made meanwhile and is empty, with those above."""
        self._new_folders.remove()

    @staticmethod
    def _describe(path: Path, relative: str) -> ArtifactFile:
        status = path.lstat()
        return ArtifactFile(relative, status.st_size, f"{status.st_mtime_ns}.{status.st_ino}", status.st_mtime_ns)


class S3Artifacts:
    """Artifacts in a bucket of S3, below a prefix; MLFLOW_S3_ENDPOINT_URL names another server, as for MLflow.

    Args:
        address: `s3://BUCKET/PREFIX`.
    """

    def __init__(self, address: str) -> None:
        try:
            import boto3
        except ImportError as error:
            raise ConfigError("Artifacts in S3 need the library boto3: pip install 'tinybench[server]'.") from error
        self._address = address
        self._bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        is_unchecked = os.environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("true", "1")
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None,
            verify=False if is_unchecked else None,
        )

    def require_exists(self) -> None:
        """Raise unless the bucket can be listed.

        Raises:
            TrackingError: It cannot.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        except (BotoCoreError, ClientError) as error:
            raise TrackingError(
                f"Cannot use {redact(self._address)}: {redact(str(error))}. Check the bucket, the keys "
                "and MLFLOW_S3_ENDPOINT_URL."
            ) from error

    def list_files(self) -> Iterator[ArtifactFile]:
        """Yield all objects."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            for item in page.get("Contents", ()):
                path = item["Key"].removeprefix(self._prefix)
                if path and path != UNFINISHED and not (path.endswith("/") and item["Size"] == 0):
                    yield self._describe(path, item["Size"], item)

    def look_up(self, path: str) -> ArtifactFile | None:
        """Return an object as it is now; None if it is gone."""
        from botocore.exceptions import ClientError

        try:
            item = self._client.head_object(Bucket=self._bucket, Key=self._prefix + path)
        except ClientError as error:
            if _is_missing(error):
                return None
            raise
        return self._describe(path, item["ContentLength"], item)

    def open(self, path: str) -> Any:
        """Open an object."""
        from contextlib import closing

        from botocore.exceptions import ClientError

        try:
            item = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)
        except ClientError as error:
            if _is_missing(error):
                raise FileNotFoundError(path) from error
            raise
        return closing(item["Body"])

    def write(self, path: str, fill: Callable[[BinaryIO], None], modified_ns: int | None = None) -> None:
        """Upload a file when its content is complete; S3 keeps the time of the upload."""
        with TemporaryFile() as file:
            fill(file)
            file.seek(0)
            self._client.upload_fileobj(file, self._bucket, self._prefix + path)

    def remove(self, path: str) -> None:
        """Remove an object."""
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + path)

    def remove_new_folders(self) -> None:
        """Do nothing: S3 has no folders."""

    @staticmethod
    def _describe(path: str, size: int, item: dict[str, Any]) -> ArtifactFile:
        modified = item["LastModified"]
        return ArtifactFile(path, size, f"{item['ETag']}", int(modified.timestamp() * 1_000_000_000))


def _is_missing(error: Any) -> bool:
    return error.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound")


def _raise_unreadable(error: OSError) -> None:
    """Raise for a folder that cannot be read: its files would be missing in the backup without a word.

    Raises:
        TrackingError: The folder is there.
    """
    if not isinstance(error, FileNotFoundError):  # removed meanwhile
        raise TrackingError(
            f"Cannot read {error.filename}: {error.strerror}. Run this as the user of the server."
        ) from error
