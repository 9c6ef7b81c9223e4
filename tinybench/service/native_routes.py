"""Which requests FastAPI answers by itself, and MLflow's check of them.

MLflow's server is a FastAPI application around a Flask application. Flask checks the requests that it answers. MLflow
puts its check of all other requests around both, where it does nothing for those of Flask but costs several switches
of tasks each, for all of which a busy server waits.
"""

from __future__ import annotations

from cachetools import LRUCache
from mlflow.server import auth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

_MLFLOW_CHECK = "fastapi_permission_middleware"
_SIZE = 1000
_MAX_PATH_LENGTH = 300  # of a remembered path: they are the client's


class NativeRoutes:
    """The routes that FastAPI answers by itself.

    Args:
        routes: All routes of the application.
    """

    def __init__(self, routes: list[BaseRoute]) -> None:
        self._routes = [route for route in routes if not isinstance(route, Mount)]
        self._remembered: LRUCache[tuple[str, str], bool] = LRUCache(_SIZE)  # of the one thread of the event loop

    def match(self, scope: Scope) -> bool:
        """Return whether the request of an ASGI scope is for one of the routes, and not for Flask."""
        key = (scope["method"], scope["path"])
        is_native = self._remembered.get(key)
        if is_native is None:
            is_native = any(route.matches(scope)[0] == Match.FULL for route in self._routes)
            if len(scope["path"]) <= _MAX_PATH_LENGTH:
                self._remembered[key] = is_native
        return is_native


class CheckOfNativeRoutes:
    """MLflow's check around an application, for the requests alone that it can refuse or whose answer it can change.

    Args:
        app: The application.
        check: MLflow's check, a function of Starlette's `BaseHTTPMiddleware`.
        native: The routes that FastAPI answers by itself.
    """

    def __init__(self, app: ASGIApp, check: object, native: NativeRoutes) -> None:
        self._app, self._native = app, native
        self._checked = BaseHTTPMiddleware(app, check)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request by the application, after MLflow's check if it has one for it."""
        await (self._checked if self._has_check(scope) else self._app)(scope, receive, send)

    def _has_check(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        return self._native.match(scope) or auth._find_fastapi_validator(scope["path"], scope["method"]) is not None


def limit_check(app: Starlette, native: NativeRoutes) -> None:
    """Have MLflow check by its middleware only what Flask does not check.

    Raises:
        LookupError: The application has no such middleware: this is a version of MLflow that is not is_native here.
    """
    for number, middleware in enumerate(app.user_middleware):
        check = middleware.kwargs.get("dispatch")
        if getattr(check, "__name__", "") == _MLFLOW_CHECK:
            app.user_middleware[number] = Middleware(CheckOfNativeRoutes, check=check, native=native)
            return
    raise LookupError(f"MLflow's application has no {_MLFLOW_CHECK}")
