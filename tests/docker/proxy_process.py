"""The proxy service of the compose file as a process: a real Caddy with our Caddyfile."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import compose_file
import pytest


def find_caddy() -> str:
    """Return the path of Caddy, or skip the test."""
    beside = Path(sys.executable).with_name("caddy")
    caddy = str(beside) if beside.exists() else shutil.which("caddy")
    if caddy is None:
        pytest.skip("caddy is not installed")
    return caddy


@contextmanager
def running(services: compose_file.Services) -> Iterator[str]:
    """Run the proxy; yield the path of the certificate of its authority."""
    command = compose_file.image_setting("proxy.Dockerfile", "CMD")
    command[command.index("--config") + 1] = str(compose_file.FOLDER / "Caddyfile")
    command[0] = find_caddy()
    environment = {
        name: services.here(value) for name, value in compose_file.image_setting("proxy.Dockerfile", "ENV").items()
    }
    for name, port in (("HTTP", 8080), ("HTTPS", 8443), ("HEALTH", 8081)):
        environment[f"TINYBENCH_LISTEN_{name}"] = str(services.ports[port])
    authority = services.folder / "data/caddy/pki/authorities/local/root.crt"
    with services.running("proxy", command, **environment) as log:
        compose_file.wait_until(authority.exists, log)
        yield str(authority)
