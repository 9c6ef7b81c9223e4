"""Try, before the server starts, whether it can write where artifacts and counters go."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tinybench.core.errors import ConfigError
from tinybench.core.redaction import redact
from tinybench.service.collection.destination import local_path

_CONNECT_SECONDS, _READ_SECONDS = 3, 10
_OPTION = "--artifacts-destination"
_CHECK = "Check the bucket, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and MLFLOW_S3_ENDPOINT_URL."


def check_artifacts(destination: str) -> list[str]:
    """Raise if artifacts cannot be written to a folder or to S3, and return what is to be known of the destination.

    Raises:
        ConfigError: The folder can be neither made nor written to, there is no such bucket, or credentials or boto3 are
            missing.
    """
    if destination.startswith("s3://"):
        return _check_bucket(destination)
    folder = local_path(destination)
    if folder is not None:
        check_folder(_OPTION, folder)
    return []


def check_folder(option: str, folder: Path) -> None:
    """Raise if a folder can be neither made nor written to; nothing is left of the trial.

    Raises:
        ConfigError: It cannot.
    """
    path = folder.absolute()
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    try:
        try_to_write(existing)
    except OSError as error:
        what = "write to" if existing == path else "make"
        raise ConfigError(
            f"Invalid value for `{option}`: cannot {what} the folder {path}: {error.strerror}. Name another one."
        ) from error


def try_to_write(folder: Path) -> None:
    """Write a file that has no name.

    Raises:
        OSError: Nobody, or not this user, can write to the folder.
    """
    with TemporaryFile(dir=folder):
        pass


def _check_bucket(address: str) -> list[str]:
    """Ask S3 once whether a bucket is there."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
        from botocore.exceptions import ConnectionError as S3ConnectionError
    except ImportError as error:
        raise ConfigError("Artifacts in S3 need the library boto3: pip install 'tinybench[server]'.") from error
    bucket = address.removeprefix("s3://").partition("/")[0]
    limits = Config(connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"total_max_attempts": 1})
    is_unchecked = os.environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("true", "1")
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None
    verify = False if is_unchecked else None
    try:
        client: Any = boto3.Session().client("s3", endpoint_url=endpoint, verify=verify, config=limits)
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        return _judge_answer(address, bucket, error)
    except (HTTPClientError, S3ConnectionError) as error:
        return [f"Uploads fail until S3 answers: {redact(str(error)).rstrip('.')}. {_CHECK}"]
    except ParamValidationError as error:
        raise ConfigError(
            f"Invalid value for `{_OPTION}`: expected s3://BUCKET/PATH, got {redact(address)}."
        ) from error
    except (BotoCoreError, ValueError) as error:
        reason = redact(str(error)).rstrip(".")
        raise ConfigError(f"Invalid value for `{_OPTION}`: {redact(address)}: {reason}. {_CHECK}") from error
    return []


def _judge_answer(address: str, bucket: str, error: Any) -> list[str]:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status == 404:
        raise ConfigError(f"Invalid value for `{_OPTION}`: there is no bucket {bucket}. {_CHECK}") from error
    return [f"Uploads may fail: S3 answers {status} when asked for {redact(address)}. {_CHECK}"]
