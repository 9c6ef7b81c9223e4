"""The HTTP application: MLflow's scoring protocol with one-sentence errors, limits, and health checks."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tinybench.inference.classifier import ImageClassifier
from tinybench.inference.image_inputs import ImageError
from tinybench.serving import content_encoding, multipart, protocol
from tinybench.serving.current_model import CurrentModel
from tinybench.serving.prometheus import ServingMetrics
from tinybench.serving.protocol import RequestError
from tinybench.web.request_log import RequestLog

JSON = "application/json"
MAX_PENDING_REQUESTS = 128
PATHS = ("/invocations", "/ready", "/ping", "/health", "/version", "/metrics")
_QUIET_PATHS = frozenset(PATHS[1:])  # asked every few seconds by what watches the service
_MANY_NUMBERS = 1_000_000  # in a body; as Python objects they take a gigabyte, so one such body is parsed at a time
_CORS_METHODS = ("GET", "POST")
_CORS_HEADERS = ("Content-Encoding", "X-Request-ID")  # beside those that browsers send without being allowed to
_CORS_EXPOSED = ("X-Request-ID",)
_large_body_lock = threading.Lock()
_TIMEOUT = 60.0  # seconds that a request waits for a model that is being loaded, and the server for a body


class Service:
    """The routes that need the model.

    Args:
        current: The model.
        max_body_bytes: Limit of a request's body, also once it is unpacked.
        max_pending: Limit of requests at a time.
        metrics: What counts the requests; None counts nothing.
    """

    def __init__(
        self, current: CurrentModel, max_body_bytes: int, max_pending: int, metrics: ServingMetrics | None = None
    ) -> None:
        self._current, self._max_body_bytes, self._max_pending = current, max_body_bytes, max_pending
        self._metrics = metrics
        self._metrics_limiter = anyio.CapacityLimiter(1)  # a thread that requests cannot keep busy
        self._pending: set[Request] = set()

    async def invocations(self, request: Request) -> Response:
        """Classify the images of a request, unless too many requests are pending."""
        if len(self._pending) >= self._max_pending:
            return _error(f"{self._max_pending} requests are under way already: try again later.", 503)
        self._pending.add(request)
        with nullcontext() if self._metrics is None else self._metrics.waiting():
            try:
                return await self._respond(request)
            finally:
                self._pending.remove(request)

    async def _respond(self, request: Request) -> Response:
        current = self._current
        if not current.checked.is_set():  # another process of this server may have reported that it is ready
            await run_in_threadpool(current.checked.wait, _TIMEOUT)
        classifier = current.classifier
        if classifier is None:
            return _error(f"The model is not loaded yet. {current.problem}".strip(), 503)
        try:
            body = await _read_body_in_time(request, self._max_body_bytes)
            content = await run_in_threadpool(self._classify, classifier, body, request.headers)
        except ClientDisconnect:
            return Response(status_code=499)  # the client does not read it
        except RequestError as error:
            return _error(str(error), error.status)
        except ImageError as error:
            return _error(str(error), 400)
        return Response(content, media_type=JSON)

    def _classify(self, classifier: ImageClassifier, body: bytes, headers: Headers) -> bytes:
        with nullcontext() if self._metrics is None else self._metrics.under_way():
            body = content_encoding.unpack(body, headers.get("content-encoding", ""), self._max_body_bytes)
            return _classify(classifier, body, headers.get("content-type", ""))

    async def metrics(self, _: Request) -> Response:
        """Report the metrics in Prometheus' format."""
        if self._metrics is None:
            return _error("There is no /metrics without prometheus_client: pip install 'tinybench[server]'.", 404)
        text, media_type = await anyio.to_thread.run_sync(self._metrics.render, limiter=self._metrics_limiter)
        return Response(text, headers={"content-type": media_type})

    async def ready(self, _: Request) -> Response:
        """Report whether the model is loaded and has classified once."""
        current = self._current
        state = {"ready": current.ready, "model": current.address, "trouble": current.problem}
        return Response(_json(state), 200 if current.ready else 503, media_type=JSON)


async def health(_: Request) -> Response:
    """Report that the process is alive."""
    return Response("\n", media_type=JSON)


async def version(_: Request) -> Response:
    """Report MLflow's version, as its own server does."""
    from importlib import metadata

    return Response(metadata.version("mlflow"), media_type=JSON)


def build_app(
    current: CurrentModel,
    *,
    max_body_bytes: int,
    request_threads: int,
    max_pending: int = MAX_PENDING_REQUESTS,
    metrics: ServingMetrics | None = None,
    origins: Collection[str] = (),
) -> RequestLog:
    """Build the application.

    Args:
        current: The model.
        max_body_bytes: Limit of a request's body, also once it is unpacked.
        request_threads: Requests that are decoded at a time.
        max_pending: Limit of requests at a time; further ones get status 503.
        metrics: What counts the requests; without it /metrics says how to get it.
        origins: Origins of the web pages that may use the service; `*` means any.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = request_threads
        yield
        current.close()

    service = Service(current, max_body_bytes, max_pending, metrics)
    endpoints = (service.invocations, service.ready, health, health, version, service.metrics)
    routes = [
        Route(path, endpoint, methods=["POST" if path == "/invocations" else "GET"])
        for path, endpoint in zip(PATHS, endpoints, strict=True)
    ]
    handlers = {HTTPException: _http_error, Exception: _internal_error}
    application: ASGIApp = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    if origins:
        # Around the application, so that a page can read errors as well
        application = CORSMiddleware(application, origins, _CORS_METHODS, _CORS_HEADERS, expose_headers=_CORS_EXPOSED)
    return RequestLog(application, None if metrics is None else metrics.observe, _QUIET_PATHS)


async def _http_error(_: Request, error: Exception) -> Response:
    """Respond to an unknown path or method."""
    assert isinstance(error, HTTPException)
    return _error(f"{error.detail}: POST /invocations, GET /health, GET /ready.", error.status_code)


async def _internal_error(_: Request, __: Exception) -> Response:
    """Respond to an error of the server itself, which is in its log."""
    return _error("The server failed to answer; its log says why.", 500)


async def _read_body_in_time(request: Request, limit: int) -> bytes:
    """Read the body of a request.

    Raises:
        RequestError: It is larger than `limit` bytes, or takes too long.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    try:
        with anyio.fail_after(_TIMEOUT):
            return await _read_body(request, limit)
    except TimeoutError:
        raise RequestError(f"The body did not come within {_TIMEOUT:.0f} seconds.", 408) from None


async def _read_body(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> RequestError:
    return RequestError(
        f"The body is larger than the {limit / 1e6:,.0f} MB that this server takes: send fewer images.", 413
    )


def _classify(classifier: ImageClassifier, body: bytes, content_type: str) -> bytes:
    with _large_body_lock if body.count(b",") > _MANY_NUMBERS else nullcontext():
        is_form = protocol.media_type(content_type) == multipart.MEDIA_TYPE
        images, params = (multipart.parse_form if is_form else protocol.parse_request)(body, content_type)
        classifications = classifier(images, params.get("top_k", 5))
    return _json({"predictions": [asdict(classification) for classification in classifications]})


def _error(message: str, status: int) -> Response:
    # If a body was not read to its end, its rest would be taken for the next request on this connection
    headers = {"connection": "close"} if status in (408, 413, 503) else {}
    if status == 415:  # RFC 7694: in every 415, so that a client knows whether its compression was the reason
        headers["accept-encoding"] = ", ".join(content_encoding.ENCODINGS)
    return Response(_json({"error": message}), status, media_type=JSON, headers=headers)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
