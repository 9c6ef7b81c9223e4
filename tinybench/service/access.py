"""MLflow's application with passwords, and the rules that its grants cannot express.

MLflow lets everybody who can log in create experiments, registered models, secrets and demonstrations; a creator may
give rights to others; an experiment may keep its files anywhere that the server can write; and who may log to runs may
replace the files of a registered model. `mlflow server --app-name tinybench` closes these: a request must pass MLflow's
own checks first and then those of this module.
"""

from __future__ import annotations

import base64
import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from anyio import to_thread
from filelock import FileLock
from flask import Response, g, request
from mlflow.exceptions import MlflowException
from mlflow.server import app as flask_app
from mlflow.server import auth, handlers
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tinybench.service import permission_cache, roles
from tinybench.service.native_routes import NativeRoutes, limit_check

_log = logging.getLogger(__name__)

_LEAST_ROLES = (
    (r"experiments/create", "contributor"),
    (r"registered-models/create", "registrar"),
    (r"users/(list|permissions/(grant|revoke))", roles.ADMIN),
    # Calls of language models, their secrets, and work that the server would do by itself
    (r"gateway(/.*|-proxy)", roles.ADMIN),
    (r"(demo|prompt-optimization|jobs)/.*", roles.ADMIN),
    (r"(scorer|issues|genai/evaluate)/invoke", roles.ADMIN),
    (r"scorers/online-configs?", roles.ADMIN),
    (r"runs/create-promptlab-run", roles.ADMIN),
)
"""The least role for some routes, without /api/2.0/mlflow/; for all others MLflow's grants decide."""

_API = re.compile(r"/(?:ajax-)?api/\d\.\d/mlflow/")
_OPEN_NATIVE = re.compile(
    r"/health|/(ajax-)?api/3\.0/mlflow/server-info|/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/.*"
)
_CLOSED_NATIVE = re.compile(r"/ajax-api/3\.0/mlflow/assistant(/.*)?")  # it runs commands on the server's machine

_NAMES_LOCATION = re.compile(r"experiments/create|traces(/.*)?")
_LOCATION_FIELDS = ("artifact_location", "artifactLocation")
_LOCATION_TAGS = ("mlflow.artifactLocation", "mlflow.trace.archiveLocation", "mlflow.trace.spansLocation")

_WRITES_FILES = re.compile(r"upload-artifact|artifacts/presigned-upload-url|-artifacts/(artifacts|mpu)/.*")
_OWNER_OF_FILES = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # MLflow leaves some of them out of a path, after it was checked


def create_app() -> Any:
    """Return MLflow's application with passwords and the rules of this module; `mlflow server` calls it."""
    folder = Path(os.environ["MLFLOW_AUTH_CONFIG_PATH"]).parent
    with FileLock(folder / "start.lock"):  # else several workers would create the users' tables at once
        app = auth.create_app()
    permission_cache.install()
    flask_app.before_request(handlers.catch_mlflow_exception(_check_request))  # after MLflow's own check
    app.add_exception_handler(OSError, _tell_full_disk)
    native = NativeRoutes(app.routes)
    limit_check(app, native)
    app.user_middleware.append(Middleware(_NativeRules, native=native))  # within that of MLflow's check
    return app


async def _tell_full_disk(request: Request, error: OSError) -> PlainTextResponse:
    """Answer an upload for which the disk has no room, so that clients can say so."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    _log.error("The disk of the artifacts is full: %s was not stored.", request.url.path)
    return PlainTextResponse("The disk of the artifacts is full.", 507)


def role_of(username: str) -> str:
    """Return the greatest role of a user; an empty text if there is none."""
    user = auth.store.get_user(username)
    if user.is_admin:
        return roles.ADMIN
    names = {role.name for role in auth.store.list_user_roles(user.id)}
    return next((name for name in reversed(roles.NAMES) if name in names), "")


def _is_at_least(username: str, least: str) -> bool:
    role = role_of(username)
    return role != "" and roles.NAMES.index(role) >= roles.NAMES.index(least)


def _check_request() -> Response | None:
    """Refuse what MLflow lets through, of the requests that Flask answers."""
    username = getattr(g, "mlflow_authenticated_user", None)
    if username is None or request.url_rule is None:  # a page without a password, or none at all
        return None
    route = _API.sub("", request.url_rule.rule)
    least = next((role for pattern, role in _LEAST_ROLES if re.fullmatch(pattern, route)), None)
    if least is not None and not _is_at_least(username, least):
        return _refuse()
    if _NAMES_LOCATION.fullmatch(route) and request.method in ("POST", "PATCH"):
        names_location = _has_location(handlers._get_normalized_request_json())
        return _refuse() if names_location and not _is_at_least(username, roles.ADMIN) else None
    if request.method == "DELETE" and _leaves_destination((request.view_args or {}).get("artifact_path", "")):
        return _refuse()
    if _WRITES_FILES.search(route) and request.method != "GET":
        names_in_body = "mpu" in route or "presigned" in route
        body = handlers._get_normalized_request_json() if names_in_body else None
        return None if _may_write(username, request.full_path, *_texts(body)) else _refuse()
    return None


def _refuse() -> Response:
    return Response("Permission denied", 403, mimetype="text/plain")


def _leaves_destination(path: str) -> bool:
    """Return whether the path of an artifact leads out of the folder of all artifacts, through a link in it."""
    if not path:
        return False
    folder = getattr(handlers._get_artifact_repo_mlflow_artifacts(), "artifact_dir", None)
    if folder is None:  # no folder of this machine
        return False
    root = Path(folder).resolve()
    try:
        return not (root / path).resolve().is_relative_to(root)
    except (OSError, ValueError):  # a path that no system has
        return True


def _has_location(value: Any) -> bool:
    """Return whether a request says where the server keeps files."""
    if isinstance(value, dict):
        names = (*_LOCATION_FIELDS, *_LOCATION_TAGS)
        return any((key in names and item) or _has_location(item) for key, item in value.items())
    if isinstance(value, list):
        return any(map(_has_location, value))
    return value in _LOCATION_TAGS


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    for item in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(item)


def _may_write(username: str, *targets: str) -> bool:
    """Return whether a user may write the files that texts name; those of registered models are the registrars'."""
    owners: set[str] = set()
    for target in targets:
        while (plain := unquote(target)) != target:
            target = plain
        if _CONTROL.search(target):
            return False
        owners.update(_OWNER_OF_FILES.findall(target))
    return _is_at_least(username, "registrar") or not any(map(_is_registered, owners))


def _is_registered(owner: str) -> bool:
    """Return whether files of a run or a logged model belong to a version of a registered model.

    Those of its run belong to it as well, and of the phases of that run: the predictions that a promotion compares.
    """
    registry = handlers._get_model_registry_store()
    filters = [f"source_path LIKE '%{owner}%'"]
    if not owner.startswith("m-"):
        runs = [owner]
        with suppress(MlflowException):  # no run, or that of an experiment's or trace's files
            parent = handlers._get_tracking_store().get_run(owner).data.tags.get(MLFLOW_PARENT_RUN_ID)
            runs += [parent] if parent and _OWNER_OF_FILES.fullmatch(parent) else []
        filters += [f"run_id = '{run}'" for run in runs]
    return any(registry.search_model_versions(each, max_results=1) for each in filters)


def _has_unreadable_login(scope: Scope) -> bool:
    """Return whether a request brings a token, or no name and password, for which MLflow has an error: status 500."""
    header = dict(scope["headers"]).get(b"authorization", b"")
    return header != b"" and not _is_basic_login(header) and not auth.is_unprotected_route(scope["path"])


def _is_basic_login(header: bytes) -> bool:
    """Return whether a header is Basic with the Base64 of `name:password` in UTF-8."""
    scheme, _, encoded = header.partition(b" ")
    try:
        return scheme.lower() == b"basic" and ":" in base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # of Base64 or UTF-8
        return False


class _NativeRules:
    """Refuse what MLflow lets through, of the requests that do not reach Flask."""

    def __init__(self, app: ASGIApp, native: NativeRoutes) -> None:
        self.app = app
        self.native = native

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = self.app
        if scope["type"] == "http":
            if _has_unreadable_login(scope):
                answer = PlainTextResponse("Log in by user and password.", 401, {"WWW-Authenticate": "Basic"})
            elif not await self._is_allowed(scope):
                answer = PlainTextResponse("Permission denied", 403)
        await answer(scope, receive, send)

    async def _is_allowed(self, scope: Scope) -> bool:
        path = scope["path"]
        username = scope.get("state", {}).get("username")
        if _CLOSED_NATIVE.fullmatch(path):
            return False
        # What reads a database runs in a thread, which a busy server waits for: only where it is needed
        if _OPEN_NATIVE.fullmatch(path):
            if scope["method"] != "PUT" or username is None:
                return True
            return await to_thread.run_sync(_may_write, username, path)
        if not self.native.match(scope):
            return True  # Flask's, see `_check_request`
        return username is not None and await to_thread.run_sync(_is_at_least, username, roles.ADMIN)
