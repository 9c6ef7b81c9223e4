"""Find and remove artifacts in S3, with MLflow's settings, such as MLFLOW_S3_ENDPOINT_URL and AWS_ACCESS_KEY_ID."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.service.collection.destination import Destination, PartialUpload, StoredFile
from tinybench.service.collection.layout import plain_path, proxied_path

_KEYS_A_CALL = 1000  # S3's own limit


class S3Folder(Destination):
    """A destination in S3.

    Args:
        uri: The address, `s3://BUCKET/PATH`.

    Raises:
        ConfigError: boto3 is not installed, or the bucket does not exist or may not be read.
    """

    def __init__(self, uri: str) -> None:
        try:
            import boto3  # noqa: F401  MLflow imports it by its first call
        except ImportError:
            raise ConfigError("Artifacts in S3 need boto3: install it by pip install 'tinybench[server]'.") from None
        from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

        parts = urlsplit(uri)
        self.uri = uri.rstrip("/")
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/".lstrip("/")
        self._client: Any = S3ArtifactRepository(uri)._get_s3_client()
        try:
            with self._errors():
                self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
        except OSError as error:
            raise ConfigError(
                f"Invalid value for `--artifacts-destination`: cannot read {self.uri}: {error}. Check the bucket, "
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and MLFLOW_S3_ENDPOINT_URL."
            ) from error

    def files(self) -> Iterator[StoredFile]:
        """Yield every file."""
        try:
            yield from self._list("")
        except OSError as error:
            raise TrackingError(f"Cannot read {self.uri}: {error}. Try again.") from error

    def _list(self, path: str) -> Iterator[StoredFile]:
        with self._errors():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + path
            )
            for page in pages:
                for item in page.get("Contents", ()):
                    inner = item["Key"][len(self._prefix) :]
                    if inner:
                        yield StoredFile(inner, item["Size"], item["LastModified"].timestamp())

    def uploads(self) -> Iterator[PartialUpload]:
        """Yield the uploads in parts that were neither completed nor aborted."""
        with self._errors():
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                for item in page.get("Uploads", ()):
                    parts = self._client.list_parts(
                        Bucket=self._bucket, Key=item["Key"], UploadId=item["UploadId"]
                    ).get("Parts", ())
                    newest = max([item["Initiated"], *(part["LastModified"] for part in parts)])
                    size = sum(part["Size"] for part in parts)
                    inner = item["Key"][len(self._prefix) :]
                    yield PartialUpload(inner, size, newest.timestamp(), item["UploadId"])

    def relative_path(self, uri: str) -> str | None:
        """Return the path in the destination of an address of artifacts; None if it is elsewhere."""
        parts = urlsplit(uri)
        if parts.scheme != "s3":
            return proxied_path(uri)
        key = parts.path.lstrip("/")
        is_inside = parts.netloc == self._bucket and f"{key}/".startswith(self._prefix)
        return plain_path(key[len(self._prefix) :]) if is_inside else None

    def remove_folder(self, path: str) -> None:
        """Remove every file below a path."""
        keys = [self._prefix + file.path for file in self._list(f"{path}/")]
        for start in range(0, len(keys), _KEYS_A_CALL):
            objects = [{"Key": key} for key in keys[start : start + _KEYS_A_CALL]]
            with self._errors():
                answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
            for error in answer.get("Errors", ()):
                raise OSError(f"{error.get('Key')}: {error.get('Message') or error.get('Code')}")

    def remove_upload(self, upload: PartialUpload) -> None:
        """Abort an upload in parts; a file is removed."""
        key = self._prefix + upload.path
        with self._errors():
            if upload.upload_id:
                with suppress(self._client.exceptions.NoSuchUpload):
                    self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload.upload_id)
            else:
                self._client.delete_object(Bucket=self._bucket, Key=key)

    def remove_empty_folders(self, path: str) -> None:
        """Do nothing: S3 has no folders."""

    def read_text(self, name: str) -> str | None:
        """Return the text of a file at the top of the destination; None if there is none."""
        with self._errors():
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None
        return str(body.decode("utf-8", "replace"))

    def write_text(self, name: str, text: str) -> None:
        """Write a file at the top of the destination."""
        with self._errors():
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=text.encode())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise OSError for what boto3 raises."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise OSError(str(error)) from error
