"""Files from the internet: resumed when broken off, checked, and there whole or not at all."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
from filelock import FileLock
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from tinybench.core.errors import DataError, TinybenchError
from tinybench.core.hashing import hash_file
from tinybench.core.progress_bar import Advance, Progress, bar
from tinybench.core.redaction import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE_LIMIT = 16 * 2**30
ATTEMPTS = 4
_TIMEOUT = (10, 60)
_BLOCK = 2**14  # small, because an unfinished block is lost when the connection breaks
_SPARE = 64 * 2**20


class _Interrupted(Exception):  # noqa: N818 (not an error yet: it is tried again)
    """The transfer broke off in a way that another attempt may mend."""


def fetch(
    url: str,
    target: Path,
    known_hash: str | None = None,
    *,
    way_out: str = "",
    error: type[TinybenchError] = DataError,
    progress: Progress = bar,
    size_limit: int = SIZE_LIMIT,
    pause: float = 0.5,
) -> Path:
    """Fetch a file unless it is there already; two processes that want it fetch it once.

    A file that is there but has another hash than it should is replaced once the right one has come.

    Args:
        url: Its address.
        target: Where to put it; what has come so far waits beside it in a `.part` file.
        known_hash: "algorithm:hex digits" that the file must have; None to take what comes.
        way_out: A sentence that says what a person can do; by default, to fetch it by hand.
        error: What is raised.
        progress: Shows how far it is.
        size_limit: Most bytes that are taken.
        pause: Seconds before the second attempt; doubled for each further one.

    Returns:
        The target.

    Raises:
        TinybenchError: the file cannot be had; of the type `error`, naming the address and the way out.
    """
    transfer = _Transfer(url, target, known_hash, way_out, error, size_limit)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not transfer.is_there():
                _attempts(transfer, progress, pause)
                transfer.check_hash()
                transfer.part.replace(target)
                transfer.notes.unlink(missing_ok=True)
    except requests.RequestException as cause:
        raise transfer.failed(_root_cause(cause)) from None
    except _Interrupted as cause:
        raise transfer.failed(str(cause)) from None
    except OSError as cause:
        raise transfer.failed(f"cannot write to {target.parent}: {cause.strerror or cause}") from None
    return target


def _attempts(transfer: _Transfer, progress: Progress, pause: float) -> None:
    retrying = Retrying(
        stop=transfer.is_stuck,
        wait=wait_exponential(pause, max=30),
        retry=retry_if_exception_type((_Interrupted, requests.ConnectionError, requests.Timeout)),
        reraise=True,
    )
    retrying(transfer.attempt, progress)


@dataclass
class _Transfer:
    """One download over its attempts.

    Several attempts in a row that get no further than those before end it.
    """

    url: str
    target: Path
    known_hash: str | None
    way_out: str
    error: type[TinybenchError]
    size_limit: int
    fruitless: int = 0
    furthest: int = -1

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def notes(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    @property
    def received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def is_stuck(self, _state: RetryCallState) -> bool:
        return self.fruitless >= ATTEMPTS

    def attempt(self, progress: Progress) -> None:
        """Ask for what is missing and append it, or begin again where the server cannot go on."""
        self.fruitless += 1
        headers = self._resume_headers()
        with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable and "Range" in headers:
                if _total(response) == self.received:
                    return
                self._forget()
                raise _Interrupted("the server has another file than before")
            self._check_status(response)
            start = _start(response)
            if start not in (0, self.received):
                self._forget()
                raise _Interrupted("the server sent another part than was asked for")
            self._receive(response, start, progress)

    def is_there(self) -> bool:
        """Whether the target is there already, as the file that it should be."""
        if not self.target.exists() or self.known_hash is None:
            return self.target.exists()
        algorithm, _, expected = self.known_hash.partition(":")
        return hash_file(self.target, algorithm) == expected.lower()

    def check_hash(self) -> None:
        """Compare what came with the known hash; what does not match is deleted."""
        if self.known_hash is None:
            return
        algorithm, _, expected = self.known_hash.partition(":")
        found = hash_file(self.part, algorithm)
        if found != expected.lower():
            self._forget()
            raise self.failed(f"what came has {algorithm} {found} instead of {expected} and was deleted")

    def failed(self, reason: str) -> TinybenchError:
        way_out = self.way_out or f"Try again, or fetch it by hand and put it at {self.target}."
        return self.error(without_secrets(f"Cannot fetch {self.url} ({reason}). {way_out}"))

    def _resume_headers(self) -> dict[str, str]:
        """What asks for the rest of the same file; nothing but the whole where that cannot be told."""
        headers = {"Accept-Encoding": "identity"}
        validator = self._noted_validator()
        if self.received and (validator or self.known_hash):
            headers["Range"] = f"bytes={self.received}-"
            if validator:
                headers["If-Range"] = validator
        return headers

    def _noted_validator(self) -> str:
        try:
            notes = json.loads(self.notes.read_text("utf-8"))
            return str(notes["validator"]) if notes["url"] == self.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _check_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status == requests.codes.too_many_requests or status >= 500:
            raise _Interrupted(f"the server answered {status} {response.reason}")
        if status not in (requests.codes.ok, requests.codes.partial_content):
            raise self.failed(f"the server answered {status} {response.reason}")

    def _receive(self, response: requests.Response, start: int, progress: Progress) -> None:
        total = _total(response)
        self._check_room(total, start)
        self.notes.write_text(json.dumps({"url": self.url, "validator": _validator(response)}), "utf-8")
        with (
            self.part.open("ab" if start else "wb") as file,
            progress(f"Fetching {self.target.name}", total, "bytes") as advance,
        ):
            advance(start)
            self._copy(response, file.write, advance, start)
        if total is not None and self.received < total:
            raise _Interrupted(f"only {self.received:,} of {total:,} bytes came")

    def _copy(
        self, response: requests.Response, write: Callable[[bytes], object], advance: Advance, received: int
    ) -> None:
        with _as_interrupted():
            for block in response.iter_content(_BLOCK):
                received += len(block)
                if received > self.size_limit:
                    self._forget()
                    raise self.failed(f"more than {self.size_limit:,} bytes came")
                write(block)
                advance(len(block))
                if received > self.furthest:
                    self.furthest, self.fruitless = received, 0

    def _check_room(self, total: int | None, start: int) -> None:
        if total is None:
            return
        if total > self.size_limit:
            raise self.failed(f"its {total:,} bytes are more than the {self.size_limit:,} allowed")
        free = shutil.disk_usage(self.target.parent).free
        if total - start + _SPARE > free:
            raise self.failed(f"{self.target.parent} has room for {free:,} bytes, but {total - start:,} are needed")

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


@contextlib.contextmanager
def _as_interrupted() -> Iterator[None]:
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise _Interrupted(f"the connection broke off: {_root_cause(error)}") from None


def _start(response: requests.Response) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found and response.status_code == requests.codes.partial_content else 0


def _total(response: requests.Response) -> int | None:
    """Size of the whole file, where the server tells."""
    whole = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    if whole:
        return int(whole[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and response.status_code == requests.codes.ok else None


def _validator(response: requests.Response) -> str:
    etag = response.headers.get("ETag", "")
    # A weak tag says "much the same", which is not enough to join two halves.
    return response.headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag


def _root_cause(error: BaseException) -> str:
    """The shortest telling part of what requests and urllib3 wrap several times."""
    while (
        inner := getattr(error, "reason", None) or next((a for a in error.args if isinstance(a, Exception)), None)
    ) and (isinstance(inner, Exception)):
        error = inner
    return (
        re.sub(r"^<?[\w.]*(HTTPS?)?Connection(Pool)?\(.*?\)>?: ", "", " ".join(str(error).split()))
        or type(error).__name__
    )
