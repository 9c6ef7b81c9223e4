"""A real `tinybench server --auth` on SQLite, with an administrator and a user, and requests that nothing tidies up."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[1]
PASSWORD = "a-long-Passphrase-4711"
_SECONDS = 120


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class TeamServer:
    """`tinybench server --auth`, whose database and artifacts are in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.artifacts.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log.txt"

    def start(self) -> TeamServer:
        command = [sys.executable, "-m", "tinybench", "server", "--auth", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.artifacts)]
        environment = os.environ | {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "PYTHONPATH": str(ROOT)}
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(requests.RequestException):
                if requests.get(f"{self.uri}/health", timeout=2).ok:
                    return self
            time.sleep(0.2)
        raise AssertionError(f"the server did not start: {self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def call(self, path: str, *, version: int = 2, user: str = "admin", method: str = "POST", **body: Any) -> Any:
        """Send a request of the REST API and return its answer, which must be a good one."""
        answer = requests.request(
            method, f"{self.uri}/api/{version}.0/mlflow/{path}", json=body, auth=(user, PASSWORD), timeout=60
        )
        assert answer.ok, answer.text
        return answer.json()

    def send(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        user: str | None = "admin",
        headers: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> Answer:
        """Send a request with exactly this target, which no library makes safe before."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection._validate_path = lambda url: None  # type: ignore[method-assign]
        sent = dict(headers or {})
        if user is not None:
            sent["Authorization"] = "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        try:
            connection.request(method, target, body, sent, encode_chunked=not isinstance(body, bytes | None))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()
