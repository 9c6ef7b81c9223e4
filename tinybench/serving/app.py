"""The HTTP service: MLflow's scoring protocol with errors of one sentence, limits, and checks of health."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tinybench.inference.classifier import Answerer, PictureError
from tinybench.serving import protocol
from tinybench.serving.current_model import Current
from tinybench.serving.protocol import RequestError

JSON = "application/json"
MOST_WAITING = 128
_MANY = 1_000_000  # numbers of a body, which take a gigabyte as Python's own: one such body at a time
_heavy = threading.Lock()
_PATIENCE = 60.0  # seconds that a request waits for a model that is being loaded, and we for its body


class Service:
    """What is asked of a model over HTTP."""

    def __init__(self, current: Current, most_bytes: int, most_waiting: int) -> None:
        self._current, self._most_bytes, self._most_waiting = current, most_bytes, most_waiting
        self._under_way: set[Request] = set()

    async def invocations(self, request: Request) -> Response:
        """Pictures in, labels out, unless there are too many requests already."""
        if len(self._under_way) >= self._most_waiting:
            return _error(f"{self._most_waiting} requests are under way already: try again later.", 503)
        self._under_way.add(request)
        try:
            return await self._answered(request)
        finally:
            self._under_way.remove(request)

    async def _answered(self, request: Request) -> Response:
        current = self._current
        if not current.looked.is_set():  # another process of this server may have said that it is ready
            await run_in_threadpool(current.looked.wait, _PATIENCE)
        answerer = current.answerer
        if answerer is None:
            return _error(f"The model is not loaded yet. {current.trouble}".strip(), 503)
        try:
            body = await _body(request, self._most_bytes)
            found = await run_in_threadpool(_answers, answerer, body, request.headers.get("content-type", ""))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except RequestError as error:
            return _error(str(error), error.status)
        except PictureError as error:
            return _error(str(error), 400)
        return Response(found, media_type=JSON)

    async def ready(self, _: Request) -> Response:
        """Whether it may be sent requests."""
        current = self._current
        about = {"ready": current.ready, "model": current.address, "trouble": current.trouble}
        return Response(_json(about), 200 if current.ready else 503, media_type=JSON)


async def alive(_: Request) -> Response:
    """Whether the process answers."""
    return Response("\n", media_type=JSON)


async def version(_: Request) -> Response:
    """MLflow's version, as its own server says it."""
    from importlib import metadata

    return Response(metadata.version("mlflow"), media_type=JSON)


def make(current: Current, *, most_bytes: int, threads: int, most_waiting: int = MOST_WAITING) -> Starlette:
    """The application.

    Args:
        current: The model.
        most_bytes: Of a request's body.
        threads: Requests that are read at once.
        most_waiting: Requests that are under way; others are sent away.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        yield
        current.close()

    service = Service(current, most_bytes, most_waiting)
    routes = [Route("/invocations", service.invocations, methods=["POST"]), Route("/ready", service.ready)]
    routes += [Route("/ping", alive), Route("/health", alive), Route("/version", version)]
    failures = {HTTPException: _refused, Exception: _failed}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=failures)


async def _refused(_: Request, error: Exception) -> Response:
    """A path or a method that there is not."""
    assert isinstance(error, HTTPException)
    return _error(f"{error.detail}: POST /invocations, GET /health, GET /ready.", error.status_code)


async def _failed(_: Request, __: Exception) -> Response:
    """Our own mistake: the log has it."""
    return _error("The server failed to answer; its log says why.", 500)


async def _body(request: Request, most: int) -> bytes:
    """The body of a request, as far as it may go.

    Raises:
        RequestError: it is too large, or too slow.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(most)
    try:
        with anyio.fail_after(_PATIENCE):
            return await _received(request, most)
    except TimeoutError:
        raise RequestError(f"The body did not come within {_PATIENCE:.0f} seconds.", 408) from None


async def _received(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _too_large(most: int) -> RequestError:
    return RequestError(
        f"The body is larger than the {most / 1e6:,.0f} MB that this server takes: send fewer pictures.", 413
    )


def _answers(answerer: Answerer, body: bytes, content_type: str) -> bytes:
    with _heavy if body.count(b",") > _MANY else nullcontext():
        pictures, params = protocol.pictures(body, content_type)
        found = answerer(pictures, params.get("top_k", 5))
    return _json({"predictions": [asdict(each) for each in found]})


def _error(message: str, status: int) -> Response:
    answer: dict[str, Any] = {"error": message}
    # Where a body was not read to its end, what follows on this connection would be taken for more of it
    headers = {"connection": "close"} if status in (408, 413, 503) else None
    return Response(_json(answer), status, media_type=JSON, headers=headers)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
