"""Publish MLflow's counters for Prometheus to who has a token, which is no user's password."""

from __future__ import annotations

import hmac

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/metrics"
TOKEN_VARIABLE = "TINYBENCH_METRICS_TOKEN"
"""Environment variable that passes the token to the processes of the server."""


class MetricsPage:
    """An ASGI application that answers requests for `/metrics` with a token, and leaves the rest to another one.

    MLflow's own page takes an administrator's password, which Prometheus should not have.

    Args:
        app: MLflow's application.
        token: What `Authorization: Bearer` must give.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        given = _read_authorization(scope) if scope["type"] == "http" and scope["path"] == PATH else b""
        if not given.lower().startswith(b"bearer "):
            await self._app(scope, receive, send)
            return
        if hmac.compare_digest(given, self._expected):
            text, media_type = await run_in_threadpool(_read_counters)
            response = Response(text, headers={"content-type": media_type})
        else:
            response = Response("The token is not that of --metrics-token-file.\n", 401, media_type="text/plain")
        await response(scope, receive, send)


def _read_authorization(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"authorization"), b"")


def _read_counters() -> tuple[bytes, str]:
    """Return the sums over all processes, and their media type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
