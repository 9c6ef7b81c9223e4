"""Download files: interrupted downloads are resumed, hashes are checked, and no incomplete file is left."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
from filelock import FileLock
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from tinybench.core import waiting
from tinybench.core.errors import DataError, TinybenchError
from tinybench.core.hashing import hash_file
from tinybench.core.progress_bar import Advance, ProgressFactory, progress_bar
from tinybench.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE_LIMIT = 16 * 2**30
ATTEMPTS = 4
_TIMEOUT = (10, 60)
_BLOCK = 2**14  # bytes; small, because an incomplete block is lost when the connection breaks
_RESERVE = 64 * 2**20  # bytes of disk space that a download leaves free


class _Interrupted(Exception):  # noqa: N818 (it is retried before it becomes an error)
    """An interrupted transfer; another attempt may succeed."""


def fetch(
    url: str,
    target: Path,
    known_hash: str | None = None,
    *,
    way_out: str = "",
    error: type[TinybenchError] = DataError,
    progress: ProgressFactory = progress_bar,
    size_limit: int = SIZE_LIMIT,
    pause: float = 0.5,
) -> Path:
    """Download a file unless it exists; if two processes need it, one downloads it and the other waits.

    A file that exists but has the wrong hash is replaced when the download is complete.

    Args:
        url: The address of the file.
        target: The path to write to; an incomplete download is stored beside it, with the suffix `.part`.
        known_hash: The expected hash as "algorithm:hex digits"; None to accept any content.
        way_out: A sentence for the error message; by default, to download the file by hand.
        error: The class of the error that is raised.
        progress: A progress bar.
        size_limit: The largest size that is accepted, in bytes.
        pause: Seconds before the second attempt; doubled for each further one.

    Returns:
        The target.

    Raises:
        TinybenchError: The download failed; the error is an `error`, and names the address and the way out.
    """
    transfer = _Transfer(url, target, known_hash, way_out, error, size_limit)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _wait_for_lock(target):
            if not transfer.is_complete():
                retrying = Retrying(
                    stop=transfer.is_stuck,
                    wait=wait_exponential(pause, max=30),
                    retry=retry_if_exception_type((_Interrupted, requests.ConnectionError, requests.Timeout)),
                    reraise=True,
                )
                retrying(transfer.attempt, progress)
                transfer.check_hash()
                transfer.partial_file.replace(target)
                transfer.metadata_file.unlink(missing_ok=True)
    except requests.RequestException as cause:
        raise transfer.failure(_root_cause(cause)) from None
    except _Interrupted as cause:
        raise transfer.failure(str(cause)) from None
    except OSError as cause:
        raise transfer.failure(f"cannot write to {target.parent}: {cause.strerror or cause}") from None
    return target


@contextlib.contextmanager
def _wait_for_lock(target: Path) -> Iterator[None]:
    with waiting.tell_if_slow(f"waiting for another process that downloads {target.name}"):
        lock = FileLock(f"{target}.lock").acquire()
    with lock:
        yield


@dataclass
class _Transfer:
    """A download with its attempts; it fails after `ATTEMPTS` attempts in a row that receive nothing new."""

    url: str
    target: Path
    known_hash: str | None
    way_out: str
    error: type[TinybenchError]
    size_limit: int
    fruitless: int = 0
    furthest: int = -1

    @property
    def partial_file(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def metadata_file(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    @property
    def received(self) -> int:
        return self.partial_file.stat().st_size if self.partial_file.exists() else 0

    def is_stuck(self, _state: RetryCallState) -> bool:
        return self.fruitless >= ATTEMPTS

    def attempt(self, progress: ProgressFactory) -> None:
        """Request the missing bytes and append them; start anew if the server cannot continue the file."""
        self.fruitless += 1
        headers = self._resume_headers()
        with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable and "Range" in headers:
                if _total_bytes(response) == self.received:
                    return
                self._delete_partial()
                raise _Interrupted("the server has another file than before")
            self._check_status(response)
            start = _start_byte(response)
            if start not in (0, self.received):
                self._delete_partial()
                raise _Interrupted("the server sent another part than was asked for")
            self._receive(response, start, progress)

    def is_complete(self) -> bool:
        """Return whether the target exists and has the known hash, if there is one."""
        if not self.target.exists() or self.known_hash is None:
            return self.target.exists()
        algorithm, _, expected = self.known_hash.partition(":")
        return hash_file(self.target, algorithm) == expected.lower()

    def check_hash(self) -> None:
        """Raise an error and delete the download if its hash is not the known one."""
        if self.known_hash is None:
            return
        algorithm, _, expected = self.known_hash.partition(":")
        actual = hash_file(self.partial_file, algorithm)
        if actual != expected.lower():
            self._delete_partial()
            raise self.failure(f"the downloaded file has {algorithm} {actual} instead of {expected} and was deleted")

    def failure(self, reason: str) -> TinybenchError:
        """Return the error to raise."""
        way_out = self.way_out or f"Try again, or fetch it by hand and put it at {self.target}."
        return self.error(redact(f"Cannot fetch {self.url} ({reason}). {way_out}"))

    def _resume_headers(self) -> dict[str, str]:
        """Return headers that request the missing bytes of the same file, or else the complete file."""
        headers = {"Accept-Encoding": "identity"}
        validator = self._stored_validator()
        if self.received and (validator or self.known_hash):
            headers["Range"] = f"bytes={self.received}-"
            if validator:
                headers["If-Range"] = validator
        return headers

    def _stored_validator(self) -> str:
        try:
            metadata = json.loads(self.metadata_file.read_text("utf-8"))
            return str(metadata["validator"]) if metadata["url"] == self.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status == requests.codes.too_many_requests or status >= 500:
            raise _Interrupted(f"the server answered {status} {response.reason}")
        if status not in (requests.codes.ok, requests.codes.partial_content):
            raise self.failure(f"the server answered {status} {response.reason}")

    def _receive(self, response: requests.Response, start: int, progress: ProgressFactory) -> None:
        total = _total_bytes(response)
        self._check_free_space(total, start)
        self.metadata_file.write_text(json.dumps({"url": self.url, "validator": _validator(response)}), "utf-8")
        with (
            self.partial_file.open("ab" if start else "wb") as file,
            progress(f"Fetching {self.target.name}", total, "bytes") as advance,
        ):
            advance(start)
            self._copy(response, file.write, advance, start)
        if total is not None and self.received < total:
            raise _Interrupted(f"only {self.received:,} of {total:,} bytes were received")

    def _copy(
        self, response: requests.Response, write: Callable[[bytes], object], advance: Advance, received: int
    ) -> None:
        with _as_interrupted():
            for block in response.iter_content(_BLOCK):
                received += len(block)
                if received > self.size_limit:
                    self._delete_partial()
                    raise self.failure(f"more than {self.size_limit:,} bytes were received")
                write(block)
                advance(len(block))
                if received > self.furthest:
                    self.furthest, self.fruitless = received, 0

    def _check_free_space(self, total: int | None, start: int) -> None:
        if total is None:
            return
        if total > self.size_limit:
            raise self.failure(f"its {total:,} bytes are more than the {self.size_limit:,} allowed")
        free = shutil.disk_usage(self.target.parent).free
        if total - start + _RESERVE > free:
            raise self.failure(f"{self.target.parent} has room for {free:,} bytes, but {total - start:,} are needed")

    def _delete_partial(self) -> None:
        self.partial_file.unlink(missing_ok=True)
        self.metadata_file.unlink(missing_ok=True)


@contextlib.contextmanager
def _as_interrupted() -> Iterator[None]:
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Interrupted(f"the connection broke off: {_root_cause(error)}") from None


def _start_byte(response: requests.Response) -> int:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match and response.status_code == requests.codes.partial_content else 0


def _total_bytes(response: requests.Response) -> int | None:
    """Return the size of the complete file; None if the server does not report it."""
    match = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    if match:
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and response.status_code == requests.codes.ok else None


def _validator(response: requests.Response) -> str:
    etag = response.headers.get("ETag", "")
    # A weak tag means "equivalent", which is not enough to join two parts
    return response.headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag


def _root_cause(error: BaseException) -> str:
    """Return the message of the innermost error that requests and urllib3 have wrapped."""
    while (
        inner := getattr(error, "reason", None) or next((arg for arg in error.args if isinstance(arg, Exception)), None)
    ) and (isinstance(inner, Exception)):
        error = inner
    return (
        re.sub(r"^<?[\w.]*(HTTPS?)?Connection(Pool)?\(.*?\)>?: ", "", " ".join(str(error).split()))
        or type(error).__name__
    )
