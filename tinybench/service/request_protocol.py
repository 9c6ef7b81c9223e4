"""The uvicorn protocol of MLflow's server: it logs requests and publishes `/metrics`, and closes idle connections."""

from __future__ import annotations

import functools
import os
from typing import Any

from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tinybench.service.metrics_page import TOKEN_VARIABLE, MetricsPage
from tinybench.web.header_timeout import HeaderTimeoutProtocol
from tinybench.web.request_log import RequestLog, current_request

QUIET_PATHS = frozenset({"/health", "/metrics"})


class RequestProtocol(HeaderTimeoutProtocol):
    """uvicorn's HTTP protocol with MLflow's application inside ours.

    MLflow has uvicorn load its application by name. `--http` is the option by which uvicorn takes a class of ours.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.app = _wrap(self.app)


@functools.cache
def _wrap(app: ASGIApp) -> ASGIApp:
    from flask import request_finished

    request_finished.connect(_note_user)
    token = os.environ.get(TOKEN_VARIABLE)
    log = RequestLog(app if token is None else MetricsPage(app, token), quiet_paths=QUIET_PATHS)
    # uvicorn reads the address of a client behind a proxy within `app`, which is too late for the log
    behind_proxy: Any = ProxyHeadersMiddleware
    wrapped: ASGIApp = behind_proxy(log, os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1"))
    return wrapped


def _note_user(_: Any, **__: Any) -> None:
    """Note the user whose password MLflow has checked; it runs within the request."""
    from flask import g

    request = current_request()
    if request is not None:
        request.user = g.get("mlflow_authenticated_user")
