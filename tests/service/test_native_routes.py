"""Which requests FastAPI answers by itself: only those pass MLflow's check of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Message

from tinybench.service.native_routes import NativeRoutes, limit_check


@pytest.fixture
def checked() -> list[str]:
    """Return the paths that were checked."""
    return []


@pytest.fixture
def ask(checked: list[str]) -> Callable[[str, str], bytes]:
    """Return a client of an application that is built as MLflow's: a function of a method and a path."""

    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("native")

    async def fastapi_permission_middleware(request: Request, call_next: Any) -> Any:
        checked.append(request.url.path)
        return await call_next(request)

    routes = [Route("/version", answer), Route("/files/{name:path}", answer, methods=["PUT"])]
    app = Starlette(
        routes=[*routes, Mount("/", PlainTextResponse("Flask's"))],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=fastapi_permission_middleware)],
    )
    limit_check(app, NativeRoutes(app.routes))

    def send_request(method: str, path: str) -> bytes:
        body = b""

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            nonlocal body
            body += message.get("body", b"")

        scope = {"type": "http", "method": method, "path": path, "root_path": "", "query_string": b"", "headers": []}
        asyncio.run(app(scope, receive, send))
        return body

    return send_request


def test_requests_of_flask_pass_by_the_check(ask: Callable[[str, str], bytes], checked: list[str]):
    for method, path in [("GET", "/api/2.0/mlflow/runs/get"), ("GET", "/files/a"), ("POST", "/version")]:
        assert ask(method, path) == b"Flask's"
    assert checked == []


def test_native_requests_are_checked_each_time(ask: Callable[[str, str], bytes], checked: list[str]):
    for _ in range(2):
        assert ask("GET", "/version") == b"native"
        assert ask("PUT", f"/files/{'a' * 400}") == b"native"
    assert checked == ["/version", f"/files/{'a' * 400}"] * 2


@pytest.mark.parametrize("path", ["/gateway/x/invocations", "/v1/traces", "/ajax-api/3.0/jobs/1"])
def test_what_mlflow_checks_without_a_route_is_checked(ask: Callable[[str, str], bytes], checked: list[str], path: str):
    ask("GET", path)
    assert checked == [path]


def test_an_application_without_the_check_is_not_known():
    with pytest.raises(LookupError, match="fastapi_permission_middleware"):
        limit_check(Starlette(), NativeRoutes([]))
