"""Read docker/compose.yaml as Docker does, and run its services as processes of this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker"
_VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


class MissingVariable(Exception):
    """A variable without which Docker does not start."""


def read(variables: dict[str, str]) -> dict[str, Any]:
    """Return the compose file with its variables replaced."""

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item) for item in value]
        return _interpolate(value, variables) if isinstance(value, str) else value

    return fill(yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8")))


def _interpolate(text: str, variables: dict[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, operator, word = match[1], match[2] or "", match[3]
        value = variables.get(name)
        if value is not None and (value or ":" not in operator):
            return value
        if "?" in operator:
            raise MissingVariable(f"{name}: {word}")
        return word or ""

    return _VARIABLE.sub(replace, text)


def image_setting(file: str, name: str) -> Any:
    """Return the last ENTRYPOINT or CMD of a Dockerfile, or its last ENV as a dictionary."""
    text = (FOLDER / file).read_text("utf-8").replace("\\\n", " ")
    value = re.findall(rf"^{name} +(.+)$", text, re.MULTILINE)[-1]
    if name == "ENV":
        return dict(item.split("=", 1) for item in value.split())
    return json.loads(value)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Services:
    """The services of the compose file as processes, with folders and ports of this machine in place of a container's.

    Args:
        folder: Takes volumes and logs.
        secrets: Folder of the secrets.
        variables: What .env says.
    """

    def __init__(self, folder: Path, secrets: Path, variables: dict[str, str]) -> None:
        self.folder = folder
        self.secrets = secrets
        self.services = read(variables)["services"]
        self.ports = {port: free_port() for port in (5000, 5432, 8080, 8081, 8333)}
        self.exit_codes: dict[str, int] = {}
        self.ports[8443] = int(variables.get("TINYBENCH_HTTPS_PORT", "0")) or free_port()

    def by_network(self, text: str) -> str:
        """Return a string of the compose file with the ports of this machine."""
        text = re.sub(r"\b(mlflow|postgres|s3):(?=\d)", "127.0.0.1:", text)
        return re.sub(r"\b(5000|5432|8080|8081|8333|8443)\b", lambda match: str(self.ports[int(match[0])]), text)

    def here(self, text: str) -> str:
        """Return a string of the compose file with the ports and folders of this machine."""
        return re.sub(
            r"(?<![\w/.])/(run/secrets|artifacts|backups|data|tmp)\b",
            lambda match: str(self.secrets if match[1] == "run/secrets" else self.folder / match[1]),
            self.by_network(text),
        )

    def environment(self, name: str, **more: str) -> dict[str, str]:
        """Return the environment of a service, and little else of this machine's."""
        for volume in ("artifacts", "backups", "data", "tmp"):
            (self.folder / volume).mkdir(exist_ok=True)
        given = {key: self.here(str(value)) for key, value in self.services[name].get("environment", {}).items()}
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(self.folder), "PYTHONPATH": str(ROOT)} | given | more

    def command(self, name: str) -> list[str]:
        """Return the command line of a service."""
        service = self.services[name]
        entrypoint = service.get("entrypoint")
        if entrypoint is None:
            entrypoint = image_setting("server.Dockerfile", "ENTRYPOINT")
        line = [self.here(str(word)) for word in [*entrypoint, *service["command"]]]
        program = {"tinybench": [sys.executable, "-m", "tinybench"], "python": [sys.executable]}.get(line[0], line[:1])
        return program + line[1:]

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a service."""
        kind, *line = [self.here(word) for word in self.services[name]["healthcheck"]["test"]]
        line = ["/bin/sh", "-c", *line] if kind == "CMD-SHELL" else line
        return subprocess.run(line, env=self.environment(name), capture_output=True, timeout=60).returncode == 0

    @contextmanager
    def running(self, name: str, command: list[str] | None = None, **environment: str) -> Iterator[Path]:
        """Run a service until its health check passes, and then the block; yield the file with its output."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command or self.command(name), env=self.environment(name, **environment), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            wait_until(lambda: process.poll() is not None or self.is_healthy(name), log)
            assert process.poll() is None, log.read_text()[-3000:]
            yield log
        finally:
            self.exit_codes[name] = end(process)


def end(process: subprocess.Popen[Any]) -> int:
    """End a process by SIGTERM as Docker does, and kill what is left of its session."""
    process.terminate()
    try:
        return process.wait(30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(condition: Callable[[], bool], log: Path, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)
