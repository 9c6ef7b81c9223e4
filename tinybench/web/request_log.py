"""Log each request once it is answered, and give it an id that the answer and every line of the log about it have."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ID_HEADER = b"x-request-id"
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_MAX_PATH_LENGTH = 500
_current: ContextVar[RequestRecord | None] = ContextVar("request", default=None)
_log = logging.getLogger("tinybench.web.request_log")


@dataclass(slots=True)
class RequestRecord:
    """What is logged of a request; nothing of its query, its headers or its body.

    Attributes:
        id: Its `X-Request-ID`, or a random one if it has none that is well-formed.
        method: Its method.
        path: Its path as sent, without the query.
        client: The address that sent it; that of the browser behind a trusted proxy.
        user: Who sent it, once it is known.
        status: The status of the answer; 500 as long as there is none.
        seconds: Time until the end of the answer; None before.
    """

    id: str
    method: str
    path: str
    client: str
    user: str | None = None
    status: int = 500
    seconds: float | None = None


def current_request() -> RequestRecord | None:
    """Return the request that is being answered; None outside requests."""
    return _current.get()


class RequestLog:
    """An ASGI application that logs the requests of another one.

    Args:
        app: The application.
        observe: Called with each request that was answered.
        quiet_paths: Paths of checks of health and the like, whose answers 200 and 503 are not logged.
    """

    def __init__(
        self,
        app: ASGIApp,
        observe: Callable[[RequestRecord], None] | None = None,
        quiet_paths: Collection[str] = (),
    ) -> None:
        self._app, self._observe, self._quiet_paths = app, observe, quiet_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the application, and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = _read_request(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_ID_HEADER, record.id.encode())]
            await send(message)

        token = _current.set(record)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            record.seconds = time.perf_counter() - began
            record.user = record.user or scope.get("state", {}).get("username")
            self._report(record)
        _current.reset(token)  # not after an exception, which uvicorn logs as part of the request

    def _report(self, record: RequestRecord) -> None:
        if self._observe is not None:
            self._observe(record)
        is_check = record.path in self._quiet_paths and record.status in (200, 503)
        level = logging.DEBUG if is_check else logging.INFO
        _log.log(level, "request", extra={"request": record})


def _read_request(scope: Scope) -> RequestRecord:
    given: bytes = next((value for name, value in scope["headers"] if name == _ID_HEADER), b"")
    identifier = given.decode() if _WELL_FORMED.fullmatch(given) else secrets.token_hex(8)
    raw: Any = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("ascii", "backslashreplace")[:_MAX_PATH_LENGTH]
    client = scope.get("client")
    return RequestRecord(identifier, scope["method"], path, client[0] if client else "")
