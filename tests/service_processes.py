"""Run `tinybench server` and `tinybench serve` in processes whose output is kept."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import requests
from processes import ROOT

_SECONDS = 180


class ServiceProcess:
    """A command of tinybench that serves HTTP, with files of what it writes.

    Args:
        folder: Its working folder.
        words: The words of the command; the port is added.
        environment: Variables besides those of this process.
    """

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [folder / "stdout.txt", folder / "stderr.txt"]
        variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
        with self._files[0].open("w") as output, self._files[1].open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tinybench", *words, "--port", str(self.port)],
                cwd=folder, env=variables, stdout=output, stderr=errors,
            )  # fmt: skip

    @property
    def stdout(self) -> str:
        return self._files[0].read_text("utf-8")

    @property
    def stderr(self) -> str:
        return self._files[1].read_text("utf-8")

    @property
    def written(self) -> str:
        """Everything that it wrote, and the command lines of its processes."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            lines = [" ".join(each.cmdline()) for each in (process, *process.children(recursive=True))]
            return "\n".join([self.stdout, self.stderr, *lines])
        return f"{self.stdout}\n{self.stderr}"

    def wait_for(self, path: str = "/health") -> ServiceProcess:
        """Return once a path is answered."""
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            with suppress(requests.RequestException):
                if requests.get(self.url + path, timeout=5).ok:
                    return self
            assert self._process.poll() is None, self.written
            time.sleep(0.2)
        raise AssertionError(f"It did not answer: {self.written}")

    def wait_for_text(self, *texts: str) -> None:
        """Return once it has written one of some texts, or has ended."""
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            if any(text in self.stdout + self.stderr for text in texts):
                return
            time.sleep(0.2)

    def end(self) -> int:
        """End it as Ctrl-C would, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(self._process.pid).children(recursive=True):
                child.kill()
            self._process.kill()
            return self._process.wait()


def leaks(text: str, secrets: Iterable[str], users: Iterable[str] = ()) -> list[str]:
    """Return the secrets that a text has, as they are, quoted, or in base64, also as passwords of users."""
    found = []
    for secret in secrets:
        pairs = [secret, *(f"{user}:{secret}" for user in users)]
        forms = {
            secret,
            quote(secret, safe=""),
            *(base64.b64encode(pair.encode()).decode().rstrip("=") for pair in pairs),
        }
        if any(form in text for form in forms):
            found.append(secret)
    return found
