"""What a fuzz does to the team server: its responses, the errors in its log, the files and programs that it touches."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
from team_content import MARK

SECRET = "a secret outside of the artifacts: 4711-0815"
SCRIPT = b"<script>alert('tinybench')</script>"
NOBODY = "nobody"
_OURS = re.compile(r"/tinybench/(core|service|tracking|web)/")
_CHECKS = re.compile(r"/tinybench/service/(access|permission_cache)\.py\", line \d+, in (?!__call__)")
_FRAME = re.compile(r'^ *File "([^"]+)", line (\d+), in (\S+)', re.MULTILINE)
_NO_ROUTE = '{"detail":"Not Found"}'  # FastAPI's response to all where a path has a line break
_PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn")
_RUNS_SCRIPTS = ("text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml")


@dataclass
class Responses:
    """The responses to a fuzz.

    Attributes:
        secrets: What no response may contain.
        folder: Folder of the server, which no error may name.
        statuses: Number of responses by user and status.
        problems: What is wrong, a line for a response.
        failed: Operation, status and text of every request that failed with 5xx, by its id.
        slowest: The longest time until a response in seconds, and its operation.
    """

    secrets: list[bytes]
    folder: bytes
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    failed: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")

    def add(self, operation: str, user: str, is_open: bool, response: requests.Response) -> None:
        """Count a response and check what can be said of it alone."""
        self.statuses[user, response.status_code] += 1
        self.slowest = max(self.slowest, (response.elapsed.total_seconds(), operation))
        if response.status_code >= 500:
            identifier = str(response.request.headers["X-Request-ID"])
            self.failed[identifier] = (operation, response.status_code, response.text[:150])
        for reason in self._find_problems(user, is_open, response):
            target = response.request.path_url[:300]
            self.problems.append(
                f"{user}: {operation} {target}: {reason}: {response.status_code} {response.text[:200]}"
            )

    def _find_problems(self, user: str, is_open: bool, response: requests.Response) -> list[str]:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        is_shown = not response.headers.get("Content-Disposition", "").startswith("attachment")
        checks = {
            "the proxy lost the server": response.status_code in (502, 504),
            "a secret": any(secret in response.content for secret in self.secrets),
            "a path of the server": response.status_code >= 400 and self.folder in response.content,
            "a traceback": b"Traceback (most recent call last)" in response.content,
            "content to nobody": user == NOBODY and not is_open and MARK.encode() in response.content,
            "a script as a page": SCRIPT in response.content and is_shown and kind in _RUNS_SCRIPTS,
            "its type may be guessed": response.headers.get("X-Content-Type-Options") != "nosniff",
            "a response to nobody": user == NOBODY
            and not is_open
            and response.status_code not in (401, 403)
            and response.text != _NO_ROUTE,
        }
        return [reason for reason, is_so in checks.items() if is_so]


@dataclass(frozen=True)
class LoggedError:
    """A traceback in the server's log.

    Attributes:
        request_id: The request that was answered; None outside requests.
        frames: File, line and function that raised, of the exception and of those that led to it.
        text: The traceback.
    """

    request_id: str | None
    frames: tuple[str, ...]
    text: str

    @property
    def is_ours(self) -> bool:
        """Whether our own code raised it."""
        return any(_OURS.search(frame) for frame in self.frames)

    @property
    def is_within_our_check(self) -> bool:
        """Whether it was raised while our code asked who may send the request, by what that called."""
        return _CHECKS.search(self.text) is not None


def read_errors(log: Path) -> list[LoggedError]:
    """Return the tracebacks of a log in JSON."""
    errors = []
    for line in log.read_text("utf-8", "replace").split("\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if "traceback" in record:
            errors.append(LoggedError(record.get("request_id"), _innermost(record["traceback"]), record["traceback"]))
    return errors


def _innermost(text: str) -> tuple[str, ...]:
    parts = (_FRAME.findall(part) for part in text.split("Traceback (most recent call last):"))
    return tuple(f"{part[-1][0]}:{part[-1][1]} {part[-1][2]}" for part in parts if part)


def attribute(responses: Responses, errors: list[LoggedError]) -> Counter[str]:
    """Count the responses 5xx by operation, status and what raised the error."""
    raised = {error.request_id: error for error in errors}
    counts: Counter[str] = Counter()
    for identifier, (operation, status, text) in responses.failed.items():
        error = raised.get(identifier)
        if error is None:
            cause = re.sub(r"\s+", " ", text.replace("/ajax-api", "/api"))[:100]
        else:
            frame = re.sub(r".*/(site-packages|lib/python[\d.]+)/", "", error.frames[-1])
            cause = f"{frame}: {error.text.splitlines()[-1][:80]}"
            cause += " (within our check)" if error.is_within_our_check else ""
        counts[f"{status} {operation}: {cause}"] += 1
    return counts


def read_audit(file: Path, offset: int) -> list[list[str]]:
    """Return what `audit/sitecustomize.py` wrote after an offset in bytes: event and arguments."""
    with file.open("rb") as audit:
        audit.seek(offset)
        return [json.loads(line) for line in audit]


def find_trespasses(events: list[list[str]], allowed: list[Path]) -> list[str]:
    """Return the events that are neither a read nor within an allowed folder."""
    trespasses = set()
    for event, *arguments in events:
        paths = [Path(argument) for argument in arguments]
        is_file = event == "open" or (event.startswith("os.") and event not in _PROGRAMS)
        is_within = all(any(path.is_relative_to(folder) for folder in allowed) for path in paths)
        if not (is_file and is_within):
            trespasses.add(f"{event} {' '.join(arguments)[:300]}")
    return sorted(trespasses)


def list_tree(folder: Path, left_out: list[Path]) -> dict[str, Any]:
    """Return the size and time of change of everything below a folder but what is left out."""
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) if not path.is_dir() else None
        for path in sorted(folder.rglob("*"))
        if not any(path.is_relative_to(other) for other in left_out)
    }


def list_processes(parent: int) -> set[int]:
    """Return a process and its descendants."""
    process = psutil.Process(parent)
    return {process.pid, *(child.pid for child in process.children(recursive=True))}
