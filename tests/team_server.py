"""A real `tinybench server --auth` on a SQLite store, for tests that log in."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import requests

ADMIN = ("admin", "correct-tests-42-admin")
_SECONDS = 90


class TeamServer:
    """A server with users; its database, artifacts and log are in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        password_file = folder / "admin.txt"
        password_file.write_text(ADMIN[1])
        self._command = [sys.executable, "-m", "tinybench", "server", "--auth", "--port", str(self.port), *options]
        self._command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        self._command += ["--artifacts-destination", str(folder / "artifacts")]
        self._command += ["--admin-password-file", str(password_file)]

    def __enter__(self) -> TeamServer:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if f"Open http://127.0.0.1:{self.port}" in self.log.read_text():
                return self
            time.sleep(0.1)
        self._end()
        raise AssertionError(f"the server did not start:\n{self.log.read_text()[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process.poll() is not None:
            return
        children = psutil.Process(self._process.pid).children(recursive=True)  # in a session of their own
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:  # it waits for a request
            for process in (*children, self._process):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()

    def ask(self, user: tuple[str, str] | None, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request as a user, or as nobody."""
        return requests.request(method, self.uri + path, auth=user, timeout=30, allow_redirects=False, **options)
